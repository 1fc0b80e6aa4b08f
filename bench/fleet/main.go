package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/projecteru2/eru-agent/bench/plan"
	"github.com/projecteru2/eru-agent/bench/report"
	"github.com/projecteru2/eru-agent/bench/stage"
	"github.com/projecteru2/eru-agent/bench/target"
)

func main() {
	play()
	os.Exit(plan.Main("fleet", parse, run))
}

// play plays the part that the stage started this process for, if it did, and
// ends with it.
func play() {
	parts := map[string]stage.Part{"target": stage.As(target.Serve), "rack": stage.As(serveRack)}
	if played, err := stage.Play(parts); played {
		os.Exit(plan.Exit("fleet", err))
	}
}

func run(ctx context.Context, o options, out, progress io.Writer) error {
	_, err := plan.Measure(o.version, out, o.Files, func(r *report.Report) error {
		if o.silence != "" {
			silence, err := report.Read(o.silence)
			if err != nil {
				return err
			}
			r.Figures, r.Tables = silence.Figures, silence.Tables
		}
		return measure(ctx, o, r, progress)
	})
	return err
}

func measure(ctx context.Context, o options, r *report.Report, progress io.Writer) error {
	f := &fleet{options: o, report: r, progress: progress}
	defer f.close()
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"wiring hosts and starting etcd", f.open},
		{fmt.Sprintf("starting %d nodes of %d containers", o.nodes, o.containers), f.start},
		{"nothing, for " + o.quiet.String(), f.calm},
		{"the death of one node", func(ctx context.Context) error { return f.death(ctx, f.victims[0]) }},
		{"the death of ten nodes", func(ctx context.Context) error { return f.death(ctx, f.victims[1]) }},
		{"etcd standing still for twice the TTL", f.freeze},
		{"the death of the monitor's agent", f.election},
		{"the death of all other nodes", f.end},
	} {
		_, _ = fmt.Fprintf(progress, "fleet: %s after %s\n", step.what, time.Since(r.Date).Round(time.Second))
		if err := step.do(ctx); err != nil {
			if ctx.Err() != nil {
				return errors.New("interrupted; what was measured before stands above")
			}
			r.Skipped = append(r.Skipped, fmt.Sprintf("%s, and what comes after: %s", step.what, err))
			return fmt.Errorf("measuring %s: %w", step.what, err)
		}
	}
	return nil
}
