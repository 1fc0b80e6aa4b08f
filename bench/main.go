package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/projecteru2/eru-agent/bench/bare"
	"github.com/projecteru2/eru-agent/bench/plan"
	"github.com/projecteru2/eru-agent/bench/report"
	"github.com/projecteru2/eru-agent/bench/stage"
	"github.com/projecteru2/eru-agent/bench/target"
	"github.com/projecteru2/eru-agent/bench/yardstick"
)

func main() {
	if role := os.Getenv(stage.RoleVar); role != "" {
		exit(play(role, os.Getenv(stage.SpecVar)))
	}
	ctx, stop := plan.Interruptible()
	defer stop()
	o, err := parse(os.Args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
		exit(nil)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	exit(run(ctx, o, os.Stdout, os.Stderr))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// play makes this process one of those that the stage starts.
func play(role, text string) error {
	switch role {
	case "target":
		return with(text, target.Serve)
	case "bare":
		return with(text, bare.Run)
	case "yardstick":
		return with(text, yardstick.Run)
	}
	return fmt.Errorf("no process is called %q", role)
}

func with[S any](text string, do func(S) error) error {
	var spec S
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		return fmt.Errorf("reading what to do: %w", err)
	}
	return do(spec)
}

// run measures, and says what it has measured also when it was interrupted.
func run(ctx context.Context, o options, out, progress io.Writer) error {
	if o.From != "" {
		r, err := report.Read(o.From)
		if err != nil {
			return err
		}
		return publish(r, o, out)
	}
	r := &report.Report{Date: time.Now(), Command: strings.Join(os.Args[1:], " "), Machine: report.ThisMachine(), Agent: o.version}
	err := measure(ctx, o, r, progress)
	r.Took = time.Since(r.Date)
	return errors.Join(err, publish(r, o, out))
}

func publish(r *report.Report, o options, out io.Writer) error {
	err := r.Publish(out, o.Files)
	if o.svg != "" {
		err = errors.Join(err, r.Plot(o.svg))
	}
	return err
}

func measure(ctx context.Context, o options, r *report.Report, progress io.Writer) error {
	s, err := stage.Open(ctx, o.bin)
	if err != nil {
		return err
	}
	defer s.Close()
	r.Etcd = s.Etcd.Version
	b := &bench{options: o, stage: s, report: r}
	return plan.Each(ctx, b.plan(), r, progress)
}
