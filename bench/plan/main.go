package plan

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/projecteru2/eru-agent/bench/report"
)

// Main is the main function of a program that measures; it returns the exit code.
func Main[O any](name string, parse func([]string) (O, error), run func(ctx context.Context, o O, out, progress io.Writer) error) int {
	ctx, stop := Interruptible()
	defer stop()
	o, err := parse(os.Args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		return 2
	}
	return Exit(name, run(ctx, o, os.Stdout, os.Stderr))
}

// Exit says what went wrong, and returns the exit code.
func Exit(name string, err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
	return 1
}

// Measure makes a report of an agent of that version, and publishes what was
// measured also when something went wrong, or was interrupted. With to.From it
// measures nothing, and publishes what stands there.
func Measure(version string, out io.Writer, to report.Files, measure func(*report.Report) error) (*report.Report, error) {
	if to.From != "" {
		r, err := report.Read(to.From)
		if err == nil {
			err = r.Publish(out, to)
		}
		return r, err
	}
	r := &report.Report{Date: time.Now(), Command: strings.Join(os.Args[1:], " "), Machine: report.ThisMachine(), Agent: version}
	err := measure(r)
	r.Took = time.Since(r.Date)
	return r, errors.Join(err, r.Publish(out, to))
}
