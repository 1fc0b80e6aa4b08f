package main

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/projecteru2/eru-agent/bench/bare"
	"github.com/projecteru2/eru-agent/bench/plan"
	"github.com/projecteru2/eru-agent/bench/report"
	"github.com/projecteru2/eru-agent/bench/stage"
	"github.com/projecteru2/eru-agent/bench/target"
	"github.com/projecteru2/eru-agent/bench/yardstick"
)

func main() {
	play()
	os.Exit(plan.Main("bench", parse, run))
}

// play plays the part that the stage started this process for, if it did, and
// ends with it.
func play() {
	parts := map[string]stage.Part{"target": stage.As(target.Serve), "bare": stage.As(bare.Run), "yardstick": stage.As(yardstick.Run)}
	if played, err := stage.Play(parts); played {
		os.Exit(plan.Exit("bench", err))
	}
}

func run(ctx context.Context, o options, out, progress io.Writer) error {
	r, err := plan.Measure(o.version, out, o.Files, func(r *report.Report) error { return measure(ctx, o, r, progress) })
	if r != nil && o.svg != "" {
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
