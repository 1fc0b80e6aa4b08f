package main

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/projecteru2/eru-agent/bench/kernel"
	"github.com/projecteru2/eru-agent/bench/plan"
	"github.com/projecteru2/eru-agent/bench/report"
	"github.com/projecteru2/eru-agent/bench/stage"
	"github.com/projecteru2/eru-agent/e2e/load"
)

// fault is something that goes away and comes back, with a container killed
// while it is away.
type fault struct {
	what  string
	away  time.Duration
	begin func(context.Context, *scene) error
	end   func(context.Context, *scene) (time.Time, error) // says when it was back
}

// settled is from the moment when things are back to the end of a fault.
const settled = 3 * time.Second

func (b *bench) faults() []plan.Step {
	var steps []plan.Step
	for _, f := range []fault{
		{fmt.Sprintf("etcd away for %s", b.away), b.away,
			func(_ context.Context, s *scene) error { return s.stage.Etcd.Stop(syscall.SIGKILL) },
			func(ctx context.Context, s *scene) (time.Time, error) {
				err := s.stage.Etcd.Resume(ctx)
				return time.Now(), err
			}},
		{"agent killed, back after 4s", 4 * time.Second,
			func(_ context.Context, s *scene) error { return s.agent.Stop(syscall.SIGKILL) },
			func(_ context.Context, s *scene) (time.Time, error) {
				back := time.Now()
				agent, err := s.node.Start()
				s.agent = agent
				return back, err
			}},
		{"eru-lb killed, back after 4s", 4 * time.Second,
			func(_ context.Context, s *scene) error { return s.lb.Stop(syscall.SIGKILL) },
			func(_ context.Context, s *scene) (time.Time, error) {
				back := time.Now()
				lb, err := s.lb.start()
				s.lb.Logged = lb
				return back, err
			}},
		{"HAProxy reloaded in the middle of a kill", 0,
			func(context.Context, *scene) error { return nil },
			func(ctx context.Context, s *scene) (time.Time, error) { return time.Now(), s.reload(ctx) }},
	} {
		steps = append(steps, plan.Step{What: f.what, Takes: setUp + f.away + settled,
			Do: b.scene(finishing, (*stage.Node).Start, b.openHAProxy(ofHAProxy), func(ctx context.Context, s *scene) error { return s.withstand(ctx, f) })})
	}
	return steps
}

// reload makes HAProxy reload, and returns once the new process answers.
func (s *scene) reload(ctx context.Context) error {
	was, err := s.haproxy.Worker(ctx)
	if err == nil {
		err = s.process.Signal(syscall.SIGUSR2)
	}
	if err != nil {
		return fmt.Errorf("reloading HAProxy: %w", err)
	}
	return stage.Until(ctx, "HAProxy's next process", func() bool {
		is, err := s.haproxy.Worker(ctx)
		return err == nil && is != was
	})
}

// withstand lets a fault happen, and adds its figures.
func (s *scene) withstand(ctx context.Context, f fault) error {
	victim := s.members[0]
	l, v := load.Start(ctx, s.rate, s.ask), s.watch(ctx)
	defer func() { v.end(); l.Stop() }()
	back, err := s.happen(ctx, f, victim)
	if err != nil {
		return err
	}
	v.end()
	all := l.Stop()
	note := fmt.Sprintf("%d requests", len(all))
	if why := all.Why(); why != "" {
		note += ": " + why
	}
	row := func(what, unit, note string, value, limit float64) {
		s.add(report.Figure{Group: f.what, What: what, Of: s.of, Unit: unit, Ours: []float64{value}, Note: note}.AtMost(limit))
	}
	last := v.lastWith(victim.address())
	row("looks at the set that missed a healthy server", "", fmt.Sprintf("of %d", len(v.samples)), float64(v.without(s.addresses(victim))), 0)
	row("things are back -> the dead server is out", "ms", "", max(report.Milliseconds(last.Sub(back)), 0), 2000)
	row(fmt.Sprintf("requests that failed, of some %d a second", s.rate), "", note, float64(len(all.Failed())), 0)
	s.add(report.Figure{Group: f.what, What: "longest request", Of: s.of, Unit: "ms", Ours: []float64{report.Milliseconds(all.Latency(1))}})
	return nil
}

// happen says when things were back.
func (s *scene) happen(ctx context.Context, f fault, victim *member) (time.Time, error) {
	var back time.Time
	for _, do := range []func() error{
		func() error { return s.calm(ctx) },
		func() error { return f.begin(ctx, s) },
		func() error { return kernel.Sleep(ctx, f.away/2) },
		func() error { return s.kill(ctx, victim) },
		func() error { return kernel.Sleep(ctx, f.away/2) },
		func() error {
			var err error
			back, err = f.end(ctx, s)
			return err
		},
		func() error { return kernel.Sleep(ctx, settled) },
	} {
		if err := do(); err != nil {
			return back, err
		}
	}
	return back, nil
}
