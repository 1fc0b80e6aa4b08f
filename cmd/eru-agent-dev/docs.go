package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/projecteru2/eru-agent/cmd"
	"github.com/projecteru2/eru-agent/cmd/balancer"
)

// newDocs generates what would otherwise drift from the code.
func newDocs() *cobra.Command {
	check := false
	c := &cobra.Command{
		Use: "docs", Short: "Generate docs/cli.md, agent.yaml.example and lb.yaml.example", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			files, err := generate()
			if err != nil {
				return err
			}
			for path, text := range files {
				if err := settle(path, text, check); err != nil {
					return err
				}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&check, "check", false, "only fail if they are not up to date")
	return c
}

func generate() (map[string][]byte, error) {
	var agent, lb, cli bytes.Buffer
	if err := errors.Join(cmd.WriteExample(&agent), balancer.WriteExample(&lb)); err != nil {
		return nil, err
	}
	cli.WriteString("# Command line\n\n<!-- generated: make docs -->\n\n")
	for _, root := range []*cobra.Command{cmd.NewRoot(), balancer.NewRoot()} {
		if err := describe(&cli, root); err != nil {
			return nil, err
		}
	}
	return map[string][]byte{"agent.yaml.example": agent.Bytes(), "lb.yaml.example": lb.Bytes(), filepath.Join("docs", "cli.md"): cli.Bytes()}, nil
}

// describe writes what a program's command line takes.
func describe(w io.Writer, root *cobra.Command) error {
	for _, c := range described(root) {
		var one bytes.Buffer
		if err := doc.GenMarkdownCustom(c, &one, func(link string) string { return "#" + anchor(link) }); err != nil {
			return fmt.Errorf("describing %q: %w", c.Name(), err)
		}
		if _, err := io.WriteString(w, withoutSeeAlso(one.String())); err != nil {
			return err
		}
	}
	return nil
}

// described is c and all under it, without what every program has.
func described(c *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{c}
	for _, sub := range c.Commands() {
		if sub.Name() != "help" && sub.Name() != "completion" {
			all = append(all, described(sub)...)
		}
	}
	return all
}

func anchor(link string) string {
	return strings.ReplaceAll(strings.TrimSuffix(link, ".md"), "_", "-")
}

func withoutSeeAlso(text string) string {
	body, _, _ := strings.Cut(text, "### SEE ALSO")
	return strings.TrimRight(body, "\n") + "\n\n"
}

func settle(path string, text []byte, check bool) error {
	if !check {
		return os.WriteFile(path, text, 0o644) //nolint:gosec // documentation is for everybody to read
	}
	stands, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(stands, text) {
		return fmt.Errorf("%s is not up to date; run make docs and commit it", path)
	}
	return nil
}
