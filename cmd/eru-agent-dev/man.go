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
	date, err := committed(b)
	if err != nil {
		return err
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

// committed is when what was built was committed; if that is not known, it is one time, too.
func committed(b cli.Build) (time.Time, error) {
	if b.Date == "" {
		return time.Unix(0, 0).UTC(), nil
	}
	date, err := time.Parse(time.RFC3339, b.Date)
	if err != nil {
		return time.Time{}, fmt.Errorf("reading the date of commit %q: %w", b.Commit, err)
	}
	return date, nil
}
