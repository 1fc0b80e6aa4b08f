package main

import (
	"context"
	"time"

	"github.com/projecteru2/eru-agent/bench/plan"
	"github.com/projecteru2/eru-agent/bench/stage"
)

// share is how much of everything is done behind one proxy.
type share struct {
	of        string
	open      opener
	rounds    int
	unhealthy int
	puts      int
	limits    bool
}

func (b *bench) plan() []plan.Step {
	var steps []plan.Step
	few := max(b.others/4, 1)
	for _, g := range []struct {
		name  string
		steps []plan.Step
	}{
		{"haproxy", b.full(share{ofHAProxy, b.openHAProxy(ofHAProxy), b.rounds, b.unhealthy, b.puts, true})},
		{"die", b.byDie()},
		{"nginx", b.full(share{ofNginx, b.openNginx, b.others, max(b.unhealthy/2, 1), max(b.puts/2, 1), false})},
		{"xds", b.full(share{ofXDS, b.openXDS, b.others, max(b.unhealthy/2, 1), max(b.puts/2, 1), false})},
		{"checks", append(b.checks(share{ofChecks, b.openChecks, few, 0, 0, false}), b.checks(share{ofPlain, b.openPlain, few, 0, 0, false})...)},
		{"faults", b.faults()},
		{"panic", b.panics()},
		{"scale", b.scales()},
	} {
		if b.wants(g.name) {
			steps = append(steps, g.steps...)
		}
	}
	return steps
}

const (
	setUp   = 6 * time.Second // of a fleet and what stands before it
	perKill = 1600 * time.Millisecond
)

// full is all that happens to servers.
func (b *bench) full(s share) []plan.Step {
	return []plan.Step{
		{What: s.of + ": servers killed, stopped, turned unhealthy", Takes: setUp + time.Duration(s.rounds)*2*perKill +
			time.Duration(s.unhealthy)*(2*b.interval+aftermath) + time.Duration(s.puts)*450*time.Millisecond,
			Do: b.scene(finishing, (*stage.Node).Start, s.open, func(ctx context.Context, sc *scene) error {
				for _, do := range []func() error{
					func() error { return sc.suffer(ctx, sc.killed(s)) },
					func() error { return sc.suffer(ctx, sc.stopped(s, "stopped, a server that finishes")) },
					func() error { return sc.turns(ctx, s.unhealthy, s.limits) },
					func() error { return sc.putsOut(ctx, s.puts, s.limits) },
				} {
					if err := do(); err != nil {
						return err
					}
				}
				return nil
			})},
		{What: s.of + ": servers that die at once when they are stopped", Takes: setUp + time.Duration(s.rounds)*2*perKill,
			Do: b.scene(hasty, (*stage.Node).Start, s.open, func(ctx context.Context, sc *scene) error {
				lost := s
				lost.limits = false // nobody can answer what such a server has begun
				if err := sc.suffer(ctx, sc.stopped(lost, "stopped, a server that dies at once")); err != nil {
					return err
				}
				return sc.suffer(ctx, sc.drained(s))
			})},
	}
}

// checks is what happens to servers of whose end nobody tells HAProxy.
func (b *bench) checks(s share) []plan.Step {
	return []plan.Step{{What: s.of + ": servers killed, stopped", Takes: setUp + time.Duration(s.rounds)*2*12*b.interval,
		Do: b.scene(finishing, (*stage.Node).Start, s.open, func(ctx context.Context, sc *scene) error {
			if err := sc.suffer(ctx, sc.killed(s)); err != nil {
				return err
			}
			return sc.suffer(ctx, sc.stopped(s, "stopped, a server that finishes"))
		})}}
}

// byDie is an agent that the kernel tells nothing.
func (b *bench) byDie() []plan.Step {
	s := share{ofDie, b.openHAProxy(ofDie), b.others, 0, 0, false}
	return []plan.Step{{What: s.of + ": servers killed", Takes: setUp + time.Duration(s.rounds)*perKill,
		Do: b.scene(finishing, (*stage.Node).StartBlind, s.open, func(ctx context.Context, sc *scene) error { return sc.suffer(ctx, sc.killed(s)) })}}
}

func (sc *scene) killed(s share) ordeal {
	return ordeal{group: "process killed", what: "kill", rounds: s.rounds, do: sc.kill, limits: s.limits}
}

func (sc *scene) stopped(s share, group string) ordeal {
	return ordeal{group: group, what: "docker stop", rounds: s.rounds, do: sc.stop, limits: s.limits}
}

func (sc *scene) drained(s share) ordeal {
	return ordeal{group: "drained, then stopped, a server that dies at once", what: "drain", rounds: max(s.rounds/2, 1), limits: s.limits, do: sc.drainAndStop}
}

// scene sets one up for what is measured in it.
func (b *bench) scene(kind string, start func(*stage.Node) (*stage.Agent, error), open opener, do func(context.Context, *scene) error) func(context.Context) error {
	return func(ctx context.Context) error {
		f, err := b.newFleet(ctx, kind, start)
		if err != nil {
			return err
		}
		defer f.end()
		fr, err := open(ctx, f)
		if err != nil {
			return err
		}
		defer fr.end()
		return do(ctx, &scene{f, fr})
	}
}
