package main

import (
	"context"
	"io"
	"os"

	"github.com/projecteru2/eru-agent/bench/plan"
	"github.com/projecteru2/eru-agent/bench/report"
	"github.com/projecteru2/eru-agent/bench/stage"
	"github.com/projecteru2/eru-agent/bench/target"
)

func main() {
	if played, err := stage.Play(parts()); played {
		os.Exit(plan.Exit("cutover", err))
	}
	os.Exit(plan.Main("cutover", parse, run))
}

// parts are the processes that the stage starts: one answers for all servers of
// the measurement with many.
func parts() map[string]stage.Part {
	return map[string]stage.Part{"target": stage.As(target.Serve)}
}

func run(ctx context.Context, o options, out, progress io.Writer) error {
	_, err := plan.Measure(o.version, out, o.Files, func(r *report.Report) error { return measure(ctx, o, r, progress) })
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
	if b.docker, err = s.Docker(ctx); err != nil {
		return err
	}
	return plan.Each(ctx, b.plan(), r, progress)
}
