// Package silence lets nodes and their agents fall silent, in ways that look alike in etcd and are not: hosts are network
// namespaces, and on each runs the real agent beside containers that the other hosts reach. An independent witness in etcd
// judges what is cut. Every test is a row of the table that stands at the end; `make bench-selfmon` makes the full one.
package silence

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/bench/report"
	"github.com/projecteru2/eru-agent/e2e/rig"
)

var (
	full    = flag.Bool("full", false, "let everything take as long, and happen as often, as the figures ask for")
	figures = flag.String("figures", "", "write the figures to this `file`, for bench/fleet")
	r       *rig.Rig
	rows    table
)

func TestMain(m *testing.M) {
	if flag.Parse(); !set("test.parallel") {
		_ = flag.Set("test.parallel", "5") // most of them wait most of the time
	}
	code := rig.Main(m, &r)
	if *figures != "" {
		if err := (&report.Report{Date: time.Now(), Figures: rows.figures(), Tables: []string{rows.String()}}).Write(*figures); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	fmt.Print(rows.String())
	os.Exit(code) //nolint:forbidigo // a main of its own
}

func set(name string) bool {
	found := false
	flag.Visit(func(f *flag.Flag) { found = found || f.Name == name })
	return found
}

// of is a number or a length that is smaller in the short run.
func of[T int | time.Duration | string](short, long T) T {
	if *full {
		return long
	}
	return short
}
