package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/projecteru2/eru-agent/cmd"
	"github.com/projecteru2/eru-agent/cmd/balancer"
	"github.com/projecteru2/eru-agent/cmd/cli"
)

// newMan writes the manual pages, of the same trees that docs/cli.md is made of.
func newMan() *cobra.Command {
	return &cobra.Command{
		Use: "man DIR", Short: "Write a manual page for each command into DIR", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return writeManuals(args[0], cli.ReadBuild())
		},
	}
}

// writeManuals dates the pages as the commit is dated, so that the same commit makes the same pages.
func writeManuals(dir string, b cli.Build) error {
	date := time.Unix(0, 0).UTC()
	if b.Date != "" {
		var err error
		if date, err = time.Parse(time.RFC3339, b.Date); err != nil {
			return fmt.Errorf("reading the date of commit %q: %w", b.Commit, err)
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // documentation is for everybody to read
		return fmt.Errorf("making a place for manuals: %w", err)
	}
	for _, root := range []*cobra.Command{cmd.NewRoot(), balancer.NewRoot()} {
		header := doc.GenManHeader{Section: "1", Source: root.Name() + " " + b.Version, Manual: root.Name(), Date: &date}
		if err := doc.GenManTree(root, &header, dir); err != nil {
			return fmt.Errorf("writing the manual of %q: %w", root.Name(), err)
		}
	}
	return nil
}
