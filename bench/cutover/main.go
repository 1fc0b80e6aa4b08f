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

	"github.com/projecteru2/eru-agent/bench/plan"
	"github.com/projecteru2/eru-agent/bench/report"
	"github.com/projecteru2/eru-agent/bench/stage"
	"github.com/projecteru2/eru-agent/bench/target"
)

func main() {
	if os.Getenv(stage.RoleVar) == "target" {
		exit(serveTargets())
	}
	ctx, stop := plan.Interruptible()
	defer stop()
	o, err := parse(os.Args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
		exit(nil)
	case err != nil:
		fmt.Fprintln(os.Stderr, "cutover:", err)
		os.Exit(2)
	}
	exit(run(ctx, o, os.Stdout, os.Stderr))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "cutover:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serveTargets makes this process the one that answers for all servers of the
// measurement with many.
func serveTargets() error {
	var spec target.Spec
	if err := json.Unmarshal([]byte(os.Getenv(stage.SpecVar)), &spec); err != nil {
		return fmt.Errorf("reading what to do: %w", err)
	}
	return target.Serve(spec)
}

// run measures, and says what it has measured also when it was interrupted.
func run(ctx context.Context, o options, out, progress io.Writer) error {
	if o.From != "" {
		r, err := report.Read(o.From)
		if err != nil {
			return err
		}
		return r.Publish(out, o.Files)
	}
	r := &report.Report{Date: time.Now(), Command: strings.Join(os.Args[1:], " "), Machine: report.ThisMachine(), Agent: o.version}
	err := measure(ctx, o, r, progress)
	r.Took = time.Since(r.Date)
	return errors.Join(err, r.Publish(out, o.Files))
}

func measure(ctx context.Context, o options, r *report.Report, progress io.Writer) error {
	s, err := stage.Open(ctx, o.bin)
	if err != nil {
		return err
	}
	defer s.Close()
	r.Etcd = s.Etcd.Version
	b := &bench{options: o, stage: s, report: r}
	if b.docker, err = s.Docker(ctx); err != nil {
		return err
	}
	return plan.Each(ctx, b.plan(), r, progress)
}
