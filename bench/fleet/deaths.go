package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/projecteru2/eru-agent/bench/kernel"
	"github.com/projecteru2/eru-agent/bench/report"
	"github.com/projecteru2/eru-agent/bench/stage"
)

// slack is what the issue adds to a session's time to live.
const slack = 2 * time.Second

// death switches a rack off and waits until all its containers are lost.
func (f *fleet) death(ctx context.Context, k *rack) error {
	seen := f.witness.Seen()
	var took time.Duration
	s, err := f.watch(ctx, func() error {
		at, err := f.kill(k)
		if err != nil {
			return err
		}
		last, err := f.witness.AwaitAll(ctx, seen, "lost", k.Nodes*k.Containers)
		took = last.At - at
		return err
	})
	if err != nil {
		return err
	}
	if err := kernel.Sleep(ctx, slack); err != nil { // what is wrong may come late
		return err
	}
	on := fmt.Sprintf("%d of %d nodes dead: ", k.Nodes, f.nodes)
	f.add(
		report.Figure{Group: "deaths", What: on + fmt.Sprintf("until their %d containers are lost", k.Nodes*k.Containers), Unit: "ms", Ours: []float64{report.Milliseconds(took)}}.
			AtMost(report.Milliseconds(f.ttl+slack)),
		f.wrongCuts("deaths", on, seen),
		report.Figure{Group: "deaths", What: on + "watch responses to agents", Ours: []float64{s.woken()}, Note: fmt.Sprintf("%d agents live", f.living())},
		report.Figure{Group: "deaths", What: on + "keys written", Ours: []float64{s.Puts}, Note: fmt.Sprintf("in %d transactions", s.Revision)},
	)
	if f.monitor(ctx) != f.alone[0] {
		return nil
	}
	memory, err := kernel.MemoryOf(f.alone[0].process.Pid())
	f.add(report.Figure{Group: "monitor", What: on + "CPU of the monitor", Unit: "ms", Ours: []float64{report.Milliseconds(s.alone[0])},
		Note: fmt.Sprintf("in the %.0f s until all are lost; peak memory %.1f MB", s.span.Seconds(), report.Megabytes(memory.Peak))})
	return err
}

func (f *fleet) living() int {
	n := 0
	for _, k := range f.all() {
		if !k.ended {
			n += k.Nodes
		}
	}
	return n
}

// freeze lets etcd stand still for twice the TTL.
func (f *fleet) freeze(ctx context.Context) error {
	seen, living := f.witness.Seen(), int64(f.living())
	var back time.Duration
	s, err := f.watch(ctx, func() error {
		err := f.pause(syscall.SIGSTOP)
		if err == nil {
			err = kernel.Sleep(ctx, 2*f.ttl)
		}
		err = errors.Join(err, f.pause(syscall.SIGCONT))
		if err != nil {
			return err
		}
		thawed := kernel.Now()
		err = stage.Within(ctx, func(ctx context.Context) error {
			return stage.Until(ctx, "all nodes to have a session", func() bool {
				n, err := f.sessions(ctx)
				return err == nil && n == living
			})
		})
		back = kernel.Now() - thawed
		if err != nil {
			return err
		}
		return kernel.Sleep(ctx, f.ttl+slack) // so long could it take to cut somebody
	})
	if err != nil {
		return err
	}
	on := fmt.Sprintf("etcd frozen for %s under %d nodes: ", 2*f.ttl, living)
	f.add(
		f.wrongCuts("deaths", on, seen),
		report.Figure{Group: "deaths", What: on + "from its return until all have a session", Unit: "ms", Ours: []float64{report.Milliseconds(back)},
			Note: fmt.Sprintf("etcd and the agents, on one machine, took %.0f %% of a core all the while", s.ofCore(s.CPU+s.many))},
		report.Figure{Group: "deaths", What: on + "keys written after that", Ours: []float64{s.Puts}, Note: fmt.Sprintf("watch responses to agents: %.0f", s.woken())},
	)
	return nil
}

// election kills the monitor's agent; in a rack, that of all its nodes. Their
// containers answer.
func (f *fleet) election(ctx context.Context) error {
	k := f.monitor(ctx)
	if k == nil {
		return errors.New("nobody is elected")
	}
	seen, terms := f.witness.Seen(), f.term.Seen()
	var gap time.Duration
	s, err := f.watch(ctx, func() error {
		k.process.End()
		k.ended = true
		return stage.Within(ctx, func(ctx context.Context) error {
			gone, err := f.term.Await(ctx, terms, "the monitor's session to end", func(stage.Sight) bool { return true })
			if err != nil {
				return err
			}
			next, err := f.term.Await(ctx, terms+1, "another monitor", func(stage.Sight) bool { return true })
			gap = next.At - gone.At
			return err
		})
	})
	if err != nil {
		return err
	}
	if err := kernel.Sleep(ctx, f.ttl); err != nil {
		return err
	}
	on := fmt.Sprintf("election among %d: ", f.living())
	f.add(
		report.Figure{Group: "deaths", What: on + "from the end of the monitor's session to another", Unit: "ms", Ours: []float64{report.Milliseconds(gap)}},
		report.Figure{Group: "deaths", What: on + "watch responses to agents", Ours: []float64{s.woken()}},
		report.Figure{Group: "deaths", What: on + "CPU of etcd's three members", Unit: "ms", Ours: []float64{report.Milliseconds(s.CPU)}, Note: fmt.Sprintf("in %.0f s", s.span.Seconds())},
		f.wrongCuts("deaths", on, seen),
	)
	return nil
}

// end switches all racks off but the monitor's.
func (f *fleet) end(ctx context.Context) error {
	k := f.monitor(ctx)
	if k == nil {
		return errors.New("nobody is elected")
	}
	seen, dead := f.witness.Seen(), 0
	for _, other := range f.all() {
		if other == k || other.ended {
			continue
		}
		if _, err := f.kill(other); err != nil {
			return err
		}
		dead += other.Nodes
	}
	if 3*dead <= f.nodes {
		return fmt.Errorf("only %d nodes are left to die; want more than a third", dead)
	}
	if err := kernel.Sleep(ctx, 2*f.ttl+slack); err != nil {
		return err
	}
	cut := 0.0
	for _, s := range f.witness.Since(seen) {
		if s.State != "healthy" {
			cut++
		}
	}
	f.add(report.Figure{Group: "deaths", What: fmt.Sprintf("%d of %d nodes dead together: cut in %s", dead, f.nodes, 2*f.ttl+slack), Ours: []float64{cut},
		Note: fmt.Sprintf("the monitor is one of %d that live", k.Nodes)}.AtMost(0))
	return nil
}
