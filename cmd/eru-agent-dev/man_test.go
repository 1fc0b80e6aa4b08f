package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/projecteru2/eru-agent/cmd"
	"github.com/projecteru2/eru-agent/cmd/balancer"
	"github.com/projecteru2/eru-agent/cmd/cli"
)

// TestManuals wants a page for each command that docs/cli.md describes, dated as the commit is.
func TestManuals(t *testing.T) {
	dir := t.TempDir()
	if err := writeManuals(dir, cli.Build{Version: "v1.2.3", Date: "2026-11-25T08:06:39Z"}); err != nil {
		t.Fatal(err)
	}
	for _, root := range []*cobra.Command{cmd.NewRoot(), balancer.NewRoot()} {
		for _, c := range described(root) {
			page := strings.ReplaceAll(c.CommandPath(), " ", "-") + ".1"
			text, err := os.ReadFile(filepath.Join(dir, page))
			if err != nil {
				t.Error(err)
				continue
			}
			head := `"1" "Nov 2026" "` + root.Name() + ` v1.2.3"`
			if !strings.Contains(string(text), head) || !strings.Contains(string(text), c.Short) {
				t.Errorf("%s has not %s and %q:\n%.400s", page, head, c.Short, text)
			}
		}
	}
	if err := writeManuals(t.TempDir(), cli.Build{Date: "yesterday"}); err == nil {
		t.Error("a date that is none is taken")
	}
}
