package cmd

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDocumentedCommands reads every eru-agent line that the documentation has people type, as the command line would.
func TestDocumentedCommands(t *testing.T) {
	withoutVariables(t)
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")
	typed := regexp.MustCompile(`^(?:bin/)?eru-agent ([^#&|]*)`)
	read := 0
	for _, page := range append(pages, "../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range block.FindAllSubmatch(text, -1) {
			for line := range strings.Lines(string(b[1])) {
				if m := typed.FindStringSubmatch(line); m != nil {
					read++
					understands(t, page, m[1])
				}
			}
		}
	}
	if read < 8 {
		t.Errorf("only %d lines", read)
	}
}

func understands(t *testing.T, page, line string) {
	t.Helper()
	line = regexp.MustCompile(`"[^"]*"`).ReplaceAllString(line, "text")
	c, rest, err := NewRoot().Find(strings.Fields(line))
	if err == nil {
		err = c.ParseFlags(rest)
	}
	if err == nil {
		err = c.ValidateArgs(c.Flags().Args())
	}
	if err != nil || !c.HasParent() {
		t.Errorf("%s: eru-agent %s: %v", page, line, err)
	}
}
