package main

import (
	"slices"

	"github.com/projecteru2/eru-agent/bench/plan"
	"github.com/projecteru2/eru-agent/bench/report"
	"github.com/projecteru2/eru-agent/bench/stage"
)

// bench is a run.
type bench struct {
	options
	stage  *stage.Stage
	report *report.Report
}

type step = plan.Step

func (b *bench) plan() []step {
	var steps []step
	for _, group := range []struct {
		name  string
		steps []step
	}{
		{"cost", b.costs()},
		{"quiet", b.quiets()},
		{"memory", b.memories()},
		{"spread", b.spreads()},
		{"start", b.beginnings()},
		{"death", b.singles()},
		{"burst", b.bursts()},
		{"real", b.reals()},
		{"store", b.stores()},
	} {
		if slices.Contains(b.only, group.name) {
			steps = append(steps, group.steps...)
		}
	}
	return steps
}

func (b *bench) add(f report.Figure) { b.report.Figures = append(b.report.Figures, f) }
