// Package chaos breaks everything around the agent, and the agent itself, and lets an independent witness in etcd say what
// a proxy would have seen. Every test is a row of the table that stands at the end: `make chaos`. Without -full the faults
// are shorter and fewer.
package chaos

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/e2e/rig"
)

var (
	full  = flag.Bool("full", false, "inject every fault at its full length and number")
	table = flag.String("table", "", "also write the table to this `file`")
	r     *rig.Rig
	rows  allRows
)

func TestMain(m *testing.M) {
	if flag.Parse(); !set("test.parallel") {
		_ = flag.Set("test.parallel", "6") // most of them wait most of the time
	}
	code := rig.Main(m, &r)
	text := rows.String()
	fmt.Print(text)
	if *table != "" {
		if err := os.WriteFile(*table, []byte(text), 0o600); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
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
