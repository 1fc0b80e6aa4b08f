package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
)

// Set by the linker, of what was built and when that was committed. Go's own record of it is missing in a worktree and in a tarball.
var (
	version = "dev"
	commit  string //nolint:gochecknoglobals // of the linker
	date    string //nolint:gochecknoglobals // of the linker
)

// Version is that of every program that is built together.
func Version() string { return version }

// Build says what a program was built from.
type Build struct {
	Version  string `json:"version"` // ends with -dirty if it is not what was committed
	Commit   string `json:"commit"`  // "" if that is not known
	Date     string `json:"date"`    // of the commit, RFC 3339; "" as above
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// ReadBuild returns what the linker and Go have written into this program.
func ReadBuild() Build {
	return Build{Version: version, Commit: commit, Date: date, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
}

// String is one line for people.
func (b Build) String() string {
	from := "no commit"
	if b.Commit != "" {
		from = "commit " + b.Commit + " of " + b.Date
	}
	return fmt.Sprintf("%s (%s, %s, %s)", b.Version, from, b.Go, b.Platform)
}

// Info is the metric that says which build runs.
func (b Build) Info(name string) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: name, Help: "Always 1; the build stands in its labels.",
		ConstLabels: prometheus.Labels{"version": b.Version, "commit": b.Commit, "go": b.Go},
	}, func() float64 { return 1 })
}

// NewVersion returns the command that says what the program was built from.
func NewVersion(program string) *cobra.Command {
	output := ""
	c := &cobra.Command{
		Use: "version", Short: "Print version, commit and date",
		RunE: func(c *cobra.Command, _ []string) error { return ReadBuild().print(c.OutOrStdout(), program, output) },
	}
	c.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return c
}

func (b Build) print(out io.Writer, program, output string) error {
	switch output {
	case "text":
		_, err := fmt.Fprintln(out, program, b)
		return err
	case "json":
		return json.NewEncoder(out).Encode(b)
	}
	return Usage(fmt.Errorf("--output: got %q, want text or json", output))
}
