package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/projecteru2/eru-agent/bench/report"
	"github.com/projecteru2/eru-agent/bench/yardstick"
)

// ours stands among the methods for the whole agent.
const ours = "eru-agent"

// cell is one size of node under one kind of check.
type cell struct {
	n        int
	interval time.Duration
	kind     string
}

func (c cell) String() string {
	return fmt.Sprintf("%s probe, %d containers at %s", map[string]string{"http": "HTTP", "tcp": "TCP"}[c.kind], c.n, c.interval)
}

// limited says whether the issue sets a limit here.
func (c cell) limited() bool {
	return c.interval == time.Second && (c.n == 200 || c.n == 1000)
}

// methods are what is measured in a cell, and in how many rounds.
func (c cell) methods(rounds int, lean bool) map[string]int {
	m := map[string]int{ours: 1, "plain-grid": 1}
	if c.interval <= time.Second {
		m["epoll-grid"] = 1
	}
	if !c.limited() {
		return m
	}
	for method := range m {
		m[method] = rounds
	}
	if lean {
		return m
	}
	for _, method := range yardstick.Methods(c.kind) {
		m[method] = max(m[method], 1)
	}
	return m
}

// setUp is about what it takes to start an agent on n containers until they are
// healthy, and to end it.
func setUp(n int) time.Duration { return 500*time.Millisecond + time.Duration(n)*1500*time.Microsecond }

func (b *bench) costs() []step {
	var steps []step
	for _, interval := range b.intervals {
		for _, kind := range b.kinds {
			for _, n := range b.sizes {
				c := cell{n, interval, kind}
				steps = append(steps, step{
					What: "CPU per " + c.String(), Takes: b.costTakes(c),
					Do: func(ctx context.Context) error { return b.cost(ctx, c) },
				})
			}
		}
	}
	return steps
}

func (b *bench) costTakes(c cell) time.Duration {
	methods := c.methods(b.rounds, b.lean)
	takes := time.Duration(methods[ours]) * setUp(c.n)
	for _, rounds := range methods {
		takes += time.Duration(rounds) * (max(b.span, c.interval) + b.settle + 100*time.Millisecond)
	}
	return takes
}

// cost measures one cell in rounds, ours and the yardsticks in turns.
func (b *bench) cost(ctx context.Context, c cell) error {
	crowd := b.stage.Crowd(c.n, c.kind)
	defer crowd.End()
	per := map[string][]float64{}
	var spells []spell
	methods := c.methods(b.rounds, b.lean)
	for round := range b.rounds {
		for _, method := range append([]string{ours}, yardstick.Methods(c.kind)...) {
			if round >= methods[method] {
				continue
			}
			s, err := b.spell(ctx, c, crowd, method)
			if err != nil {
				return fmt.Errorf("%s: %w", method, err)
			}
			per[method] = append(per[method], s.perProbe())
			if method == ours {
				spells = append(spells, s)
			}
		}
	}
	b.addCost(c, per, spells)
	return nil
}

func (b *bench) addCost(c cell, per map[string][]float64, spells []spell) {
	slices.SortFunc(spells, func(a, b spell) int { return int(a.perProbe() - b.perProbe()) })
	typical := spells[len(spells)/2]
	point := typical.point(c)
	point.PerProbe, point.Sticks = report.Median(per[ours]), map[string]float64{}
	for _, method := range yardstick.Methods(c.kind) {
		if len(per[method]) == 0 {
			continue
		}
		point.Sticks[method] = report.Median(per[method])
		f := report.Figure{Group: "CPU", What: c.String(), Unit: "us", Ours: per[ours], Stick: yardstick.Name(method), Stuck: per[method]}
		switch {
		case c.limited() && method == "plain-grid":
			f = f.AtMostTimes(1.1)
		case c.limited() && method == "epoll-grid":
			f = f.AtMostTimes(1.2)
			f.Stretch = true
		}
		f.Note = typical.note(c)
		b.add(f)
	}
	b.report.Points = append(b.report.Points, point)
}
