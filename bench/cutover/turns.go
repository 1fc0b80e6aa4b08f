package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/projecteru2/eru-agent/bench/kernel"
	"github.com/projecteru2/eru-agent/bench/report"
	"github.com/projecteru2/eru-agent/bench/stage"
	"github.com/projecteru2/eru-agent/e2e/load"
)

// turns measures how long a container that turns unhealthy goes on to get
// requests, from the first probe that fails it.
func (s *scene) turns(ctx context.Context, rounds int, limits bool) error {
	f := report.Figure{Group: "turned unhealthy", What: fmt.Sprintf("failing -> last request to it, interval %s, worst", s.interval), Of: s.of, Unit: "ms", Worst: true}
	if limits {
		f = f.AtMost(report.Milliseconds(s.interval + 30*time.Millisecond))
	}
	l := load.Start(ctx, s.rate, s.ask)
	defer func() { l.Stop() }()
	for i := range rounds {
		m := s.members[i%len(s.members)]
		err := stage.Within(ctx, func(ctx context.Context) error {
			last, err := s.turn(ctx, l, m)
			f.Ours = append(f.Ours, report.Milliseconds(last))
			return err
		})
		if err != nil {
			return fmt.Errorf("round %d: %w", i+1, err)
		}
	}
	all := l.Stop()
	f.Note = fmt.Sprintf("%d of %d requests failed", len(all.Failed()), len(all))
	s.add(f)
	return nil
}

// turn makes a container fail its probes and pass them again, and says when the
// last request was sent to it.
func (s *scene) turn(ctx context.Context, l *load.Load, m *member) (time.Duration, error) {
	if err := s.calm(ctx); err != nil {
		return 0, err
	}
	n, seen, begun := len(l.Ended()), s.node.Seen(), time.Now()
	if err := s.behave(ctx, m, "sick"); err != nil {
		return 0, err
	}
	if err := s.await(ctx, seen, m, "unhealthy"); err != nil {
		return 0, err
	}
	if err := kernel.Sleep(ctx, aftermath); err != nil {
		return 0, err
	}
	last := lastTo(l.Ended()[n:], m).Sub(begun)
	if err := s.behave(ctx, m, "ok"); err != nil {
		return 0, err
	}
	return last, s.back(ctx, l, m)
}

// lastTo is when the last request was sent that a container served.
func lastTo(rs load.Requests, m *member) time.Time { return rs.ServedBy(m.name()).LastSent() }

// back returns once a container gets requests again.
func (s *scene) back(ctx context.Context, l *load.Load, m *member) error {
	if _, err := l.Await(ctx, len(l.Ended()), func(r load.Request) bool { return r.By == m.name() }); err != nil {
		return fmt.Errorf("waiting for %s to send requests to %s again: %w", s.of, m.name(), err)
	}
	return nil
}

// putsOut measures how long a container goes on to get requests once etcd has
// been asked to hold that it is unhealthy. The agent, which would have its own
// say, is stopped for that.
func (s *scene) putsOut(ctx context.Context, rounds int, limits bool) error {
	if err := s.agent.Stop(stopSignal); err != nil {
		return err
	}
	l := load.Start(ctx, s.rate, s.ask)
	defer func() { l.Stop() }()
	var took []float64
	for i := range rounds {
		m := s.members[i%len(s.members)]
		err := stage.Within(ctx, func(ctx context.Context) error {
			last, err := s.putOut(ctx, l, m)
			took = append(took, report.Milliseconds(last))
			return err
		})
		if err != nil {
			return fmt.Errorf("round %d: %w", i+1, err)
		}
	}
	slices.Sort(took)
	p99 := report.Figure{Group: "turned unhealthy", What: "etcd put -> last request to it, 99th of 100", Of: s.of, Unit: "ms", Ours: []float64{took[(len(took)*99+99)/100-1]}}
	if limits {
		p99 = p99.AtMost(50)
	}
	s.add(report.Figure{Group: "turned unhealthy", What: "etcd put -> last request to it, median", Of: s.of, Unit: "ms", Ours: took})
	s.add(p99)
	var err error
	if s.agent, err = s.node.Start(); err != nil {
		return err
	}
	return stage.Within(ctx, s.agent.AwaitReady)
}

// putOut is one of them.
func (s *scene) putOut(ctx context.Context, l *load.Load, m *member) (time.Duration, error) {
	if err := kernel.Sleep(ctx, 50*time.Millisecond); err != nil {
		return 0, err
	}
	key, healthy, err := s.value(ctx, m)
	if err != nil {
		return 0, err
	}
	n, begun := len(l.Ended()), time.Now()
	if _, err := s.stage.Etcd.Client.Put(ctx, key, unhealthy(healthy)); err != nil {
		return 0, fmt.Errorf("putting a status: %w", err)
	}
	if err := kernel.Sleep(ctx, 300*time.Millisecond); err != nil {
		return 0, err
	}
	last := max(lastTo(l.Ended()[n:], m).Sub(begun), 0) // none at all
	if _, err := s.stage.Etcd.Client.Put(ctx, key, healthy); err != nil {
		return 0, fmt.Errorf("putting a status: %w", err)
	}
	return last, s.back(ctx, l, m)
}
