package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/projecteru2/eru-agent/bench/kernel"
	"github.com/projecteru2/eru-agent/bench/report"
	"github.com/projecteru2/eru-agent/bench/stage"
	"github.com/projecteru2/eru-agent/e2e/load"
)

const (
	pollEvery = time.Millisecond
	aftermath = 500 * time.Millisecond // from what was done to a server to its replacement
)

// scene is a fleet behind a proxy.
type scene struct {
	*fleet
	*front
}

// ordeal is what one server after the other goes through while requests come.
type ordeal struct {
	group  string
	what   string // "kill"
	rounds int
	do     func(context.Context, *member) error
	limits bool // those of the issue hold here
}

// outcome is what came of it.
type outcome struct {
	requests load.Requests
	applied  []float64 // ms from the beginning until HAProxy sent it nothing more
}

// suffer lets an ordeal happen, and adds its figures.
func (s *scene) suffer(ctx context.Context, o ordeal) error {
	out, err := s.rounds(ctx, o)
	if err != nil {
		return err
	}
	failed := report.Figure{
		Group: o.group, What: fmt.Sprintf("requests that failed, of some %d a second", s.rate), Of: s.of, Ours: []float64{float64(len(out.requests.Failed()))},
		Note: fmt.Sprintf("%d rounds, %d requests", o.rounds, len(out.requests)),
	}
	if why := out.requests.Why(); why != "" {
		failed.Note += ": " + why
	}
	if n := out.requests.Again(); n > 0 {
		failed.Note += fmt.Sprintf("; the client sent %d again", n)
	}
	applied := report.Figure{Group: o.group, What: o.what + " -> HAProxy has applied it", Of: s.of, Unit: "ms", Ours: out.applied}
	if o.limits {
		failed = failed.AtMost(0)
		if o.what == "kill" {
			applied = applied.AtMost(15)
		}
	}
	s.add(failed)
	s.add(report.Figure{Group: o.group, What: "longest request", Of: s.of, Unit: "ms", Ours: []float64{report.Milliseconds(out.requests.Latency(1))}})
	s.add(report.Figure{Group: o.group, What: "99 of 100 requests within", Of: s.of, Unit: "ms", Ours: []float64{report.Milliseconds(out.requests.Latency(0.99))}})
	if len(out.applied) > 0 {
		s.add(applied)
	}
	return nil
}

func (s *scene) rounds(ctx context.Context, o ordeal) (outcome, error) {
	var out outcome
	l := load.Start(ctx, s.rate, s.ask)
	defer func() { l.Stop() }()
	for i := range o.rounds {
		if err := stage.Within(ctx, func(ctx context.Context) error { return s.round(ctx, l, i%len(s.members), o, &out) }); err != nil {
			return out, fmt.Errorf("round %d: %w", i+1, err)
		}
	}
	out.requests = l.Stop()
	return out, nil
}

// round is one: the i-th container suffers and is replaced.
func (s *scene) round(ctx context.Context, l *load.Load, i int, o ordeal, out *outcome) error {
	if err := s.calm(ctx); err != nil {
		return err
	}
	victim := s.members[i]
	if s.haproxy != nil {
		in, err := s.serving(ctx)
		if err != nil {
			return err
		}
		if !slices.Contains(in, victim.address()) {
			return fmt.Errorf("before it, HAProxy sends nothing to %s, but to %v", victim.address(), in)
		}
	}
	applied, stop := s.watchOut(ctx, victim, time.Now())
	defer stop()
	if err := o.do(ctx, victim); err != nil {
		return err
	}
	if applied != nil {
		select {
		case took := <-applied:
			out.applied = append(out.applied, report.Milliseconds(took))
		case <-ctx.Done():
			return fmt.Errorf("waiting for HAProxy to send %s nothing more: %w", victim.name(), ctx.Err())
		}
	}
	if err := kernel.Sleep(ctx, aftermath); err != nil {
		return err
	}
	if err := s.replace(ctx, i); err != nil {
		return err
	}
	return s.join(ctx, l, s.members[i])
}

// calm lets what went before be done with, for a time that has nothing to do with
// anybody's grid.
func (b *bench) calm(ctx context.Context) error {
	return kernel.Sleep(ctx, 200*time.Millisecond+rand.N(100*time.Millisecond))
}

// watchOut tells how long it took until HAProxy sent a server nothing more; nil
// if the proxy cannot be asked. stop ends it.
func (s *scene) watchOut(ctx context.Context, m *member, begun time.Time) (<-chan time.Duration, func()) {
	if s.haproxy == nil {
		return nil, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	applied, ended := make(chan time.Duration, 1), make(chan struct{})
	go func() {
		defer close(ended)
		_ = every(ctx, pollEvery, func() (bool, error) {
			serving, err := s.serving(ctx)
			now := time.Now()
			out := err == nil && !slices.Contains(serving, m.address()) // its socket may be busy
			if out {
				applied <- now.Sub(begun)
			}
			return out, nil
		})
	}()
	return applied, func() { cancel(); <-ended }
}

// serving are the addresses that HAProxy sends requests to.
func (s *scene) serving(ctx context.Context) ([]string, error) {
	servers, err := s.haproxy.Servers(ctx, "shop-web")
	var all []string
	for _, server := range servers {
		if server.Serving {
			all = append(all, server.Address)
		}
	}
	return all, err
}

// join returns once a container serves the load's requests. To HAProxy without
// eru-lb its address has to be told by hand, as nobody else does.
func (s *scene) join(ctx context.Context, l *load.Load, m *member) error {
	if s.haproxy != nil && s.lb == nil {
		if err := s.byHand(ctx, m); err != nil {
			return err
		}
	}
	_, err := l.Await(ctx, len(l.Ended()), func(r load.Request) bool { return r.By == m.name() })
	if err == nil && s.haproxy != nil {
		// Without redispatch that may have been an old request, which HAProxy tries again and again at an address that it takes for down.
		err = every(ctx, pollEvery, func() (bool, error) {
			in, err := s.serving(ctx)
			return slices.Contains(in, m.address()), err
		})
	}
	if err != nil {
		err = fmt.Errorf("waiting for %s to send requests to the new container %s: %w", s.of, m.name(), err)
	}
	return err
}

// byHand gives the address of a new container to the server whose container is
// no more.
func (s *scene) byHand(ctx context.Context, m *member) error {
	servers, err := s.haproxy.Servers(ctx, "shop-web")
	if err != nil {
		return err
	}
	known := s.addresses(nil)
	for _, server := range servers {
		if !slices.Contains(known, server.Address) {
			_, err := s.haproxy.Ask(ctx, fmt.Sprintf("set server %s addr %s port %s", server.Name, m.ip, portHTTP))
			return err
		}
	}
	for _, server := range servers {
		if server.Address == m.address() {
			return nil // it has the address of the one before
		}
	}
	return errors.New("HAProxy has no server to spare")
}
