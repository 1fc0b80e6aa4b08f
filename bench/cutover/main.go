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
	play()
	os.Exit(plan.Main("cutover", parse, run))
}

// play plays the part that the stage started this process for, if it did, and
// ends with it.
func play() {
	parts := map[string]stage.Part{"target": stage.As(target.Serve)}
	if played, err := stage.Play(parts); played {
		os.Exit(plan.Exit("cutover", err))
	}
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
