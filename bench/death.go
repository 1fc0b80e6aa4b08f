package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/projecteru2/eru-agent/bench/kernel"
	"github.com/projecteru2/eru-agent/bench/report"
	"github.com/projecteru2/eru-agent/bench/stage"
)

// mortality lets containers end under an agent that probes the rest of them, and
// asks when a watcher of etcd has seen it; then the same with a bare client in the
// agent's place, in turns.
type mortality struct {
	*bench
	what   string
	rounds int
	deaths int           // in a round
	over   time.Duration // evenly over this; 0 for all at once
	byDie  bool          // Docker's die is the only word; else a process is killed and the kernel tells
	limit  func(report.Figure) report.Figure

	crowd   *stage.Crowd
	node    *stage.Node
	bare    *stage.Bare
	victims int
}

// death is what one round gives: how long the deaths themselves took, and how
// long after the first of them, or after the last if they were spread over a
// time, the last was seen.
type death struct{ made, seen time.Duration }

// byWhom are the two that may tell of a death.
var byWhom = map[bool]string{false: " by kill -9", true: " by Docker's word alone"} //nolint:gochecknoglobals // never changes

func (b *bench) singles() []step {
	var steps []step
	for _, byDie := range []bool{false, true} {
		m := &mortality{bench: b, rounds: b.latency, deaths: 1, byDie: byDie, limit: func(f report.Figure) report.Figure { return f.AtMostTimes(1.3) }}
		m.what = fmt.Sprintf("one death of %d containers%s", b.size, byWhom[byDie])
		steps = append(steps, m.step())
	}
	return steps
}

func (b *bench) bursts() []step {
	var steps []step
	n := b.size / 2
	for _, byDie := range []bool{false, true} {
		m := &mortality{bench: b, rounds: b.starts, deaths: n, over: 100 * time.Millisecond, byDie: byDie,
			limit: func(f report.Figure) report.Figure { return f.AtMost(100) }}
		m.what = fmt.Sprintf("%d deaths in 0.1s of %d containers%s: the last death -> the last seen", n, b.size, byWhom[byDie])
		steps = append(steps, m.step())
	}
	m := &mortality{bench: b, rounds: b.starts, deaths: n, byDie: true, limit: func(f report.Figure) report.Figure { return f }}
	m.what = fmt.Sprintf("%d deaths at once of %d containers%s: the first death -> the last seen", n, b.size, byWhom[true])
	return append(steps, m.step())
}

func (m *mortality) step() step {
	each := 500*time.Millisecond + time.Duration(m.deaths)*map[bool]time.Duration{false: 10, true: 3}[m.byDie]*time.Millisecond
	return step{What: m.what, Takes: setUp(m.size) + time.Duration(m.rounds)*each, Do: m.measure}
}

func (m *mortality) measure(ctx context.Context) error {
	m.crowd = m.stage.Crowd(max(m.size-m.deaths, 0), "http")
	defer m.crowd.End()
	var err error
	if m.node, err = m.stage.Node(ctx, m.crowd, "--healthcheck.interval", m.every.String()); err != nil {
		return err
	}
	defer m.node.End()
	agent, err := m.node.Start()
	if err != nil {
		return err
	}
	defer agent.End()
	if m.bare, err = m.stage.Bare(ctx, m.crowd); err != nil {
		return err
	}
	defer m.bare.End()
	if _, err := m.node.AwaitAll(ctx, 0, "healthy", len(m.crowd.Containers())); err != nil {
		return err
	}
	f := report.Figure{Group: "deaths", What: m.what, Unit: "ms", Stick: "bare client"}
	made := time.Duration(0)
	for range m.rounds {
		ours, err := m.agents(ctx)
		if err != nil {
			return err
		}
		theirs, err := m.bares(ctx)
		if err != nil {
			return fmt.Errorf("the bare client: %w", err)
		}
		made = max(made, ours.made, theirs.made)
		f.Ours = append(f.Ours, report.Milliseconds(ours.seen))
		f.Stuck = append(f.Stuck, report.Milliseconds(theirs.seen))
	}
	if m.deaths > 1 {
		f.Note = fmt.Sprintf("all died within %.0f ms", report.Milliseconds(made))
	}
	m.add(m.limit(f))
	return nil
}

// agents lets containers end that the agent cares for.
func (m *mortality) agents(ctx context.Context) (death, error) {
	ids, mortals, err := m.join()
	defer bury(mortals)
	if err != nil {
		return death{}, err
	}
	if err := m.awaitHealthy(ctx, ids); err != nil {
		return death{}, err
	}
	d, err := m.end(ctx, m.node.Witness, "stopped", ids, mortals)
	if err != nil {
		return death{}, err
	}
	before := m.node.Seen()
	for _, id := range ids {
		m.crowd.Die(id, 137) // Docker's word comes after the kernel's
		m.crowd.Remove(id)
	}
	_, err = m.node.AwaitAll(ctx, before, "", len(ids))
	return d, err
}

// join adds the containers that are to end.
func (m *mortality) join() ([]string, []*stage.Mortal, error) {
	var ids []string
	var mortals []*stage.Mortal
	for range m.deaths {
		pid := 0
		if !m.byDie {
			mortal, err := m.stage.Mortal(m.crowd.NextID())
			if err != nil {
				return nil, mortals, err
			}
			mortals, pid = append(mortals, mortal), mortal.Pid()
		}
		ids = append(ids, m.crowd.Join(pid, nil).ID)
	}
	return ids, mortals, nil
}

func (m *mortality) awaitHealthy(ctx context.Context, ids []string) error {
	waiting := map[string]bool{}
	for _, id := range ids {
		waiting[id] = true
	}
	return stage.Within(ctx, func(ctx context.Context) error {
		_, err := m.node.Await(ctx, 0, "those to be healthy that are to end", func(s stage.Sight) bool {
			if s.State == "healthy" {
				delete(waiting, s.ID)
			}
			return len(waiting) == 0
		})
		return err
	})
}

// bares lets as many end for the bare client.
func (m *mortality) bares(ctx context.Context) (death, error) {
	if m.byDie {
		var ids []string
		for range m.deaths {
			ids = append(ids, m.crowd.Join(0, map[string]string{"bench.bare": "1"}).ID)
		}
		d, err := m.end(ctx, m.bare.Witness, "", ids, nil)
		for _, id := range ids {
			m.crowd.Remove(id)
		}
		return d, err
	}
	var mortals []*stage.Mortal
	defer func() { bury(mortals) }()
	for range m.deaths {
		m.victims++
		mortal, err := m.stage.Mortal(fmt.Sprintf("bare-%d-%d", m.deaths, m.victims))
		if err != nil {
			return death{}, err
		}
		mortals = append(mortals, mortal)
		if _, err := m.bare.Watch(ctx, mortal.Pid()); err != nil {
			return death{}, err
		}
	}
	return m.end(ctx, m.bare.Witness, "", nil, mortals)
}

// calm lets what went before be done with, and returns at a moment that has
// nothing to do with the agent's grid.
func calm(ctx context.Context) error {
	return kernel.Sleep(ctx, 150*time.Millisecond+rand.N(100*time.Millisecond))
}

// end lets all of them end, and waits until the witness has seen each in a state.
func (m *mortality) end(ctx context.Context, w *stage.Witness, state string, ids []string, mortals []*stage.Mortal) (death, error) {
	if err := calm(ctx); err != nil {
		return death{}, err
	}
	before, begun := w.Seen(), kernel.Now()
	for i := range m.deaths {
		if wait := begun + m.over*time.Duration(i)/time.Duration(m.deaths) - kernel.Now(); wait > time.Millisecond {
			if err := kernel.Sleep(ctx, wait); err != nil {
				return death{}, err
			}
		}
		if mortals == nil {
			m.crowd.Die(ids[i], 137)
		} else if err := mortals[i].Kill(); err != nil {
			return death{}, fmt.Errorf("killing: %w", err)
		}
	}
	ended := kernel.Now()
	last, err := w.AwaitAll(ctx, before, state, m.deaths)
	if m.over > 0 {
		return death{ended - begun, last.At - ended}, err
	}
	return death{ended - begun, last.At - begun}, err
}

func bury(mortals []*stage.Mortal) {
	for _, m := range mortals {
		m.Bury()
	}
}
