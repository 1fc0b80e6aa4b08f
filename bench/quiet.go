package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/projecteru2/eru-agent/bench/kernel"
	"github.com/projecteru2/eru-agent/bench/report"
	"github.com/projecteru2/eru-agent/bench/stage"
)

// steady runs an agent on n healthy HTTP containers, and hands it out once they
// are all healthy.
func (b *bench) steady(ctx context.Context, n int, interval time.Duration, do func(*stage.Node, *stage.Crowd, *stage.Agent) error) error {
	crowd := b.stage.Crowd(n, "http")
	defer crowd.End()
	node, err := b.stage.Node(ctx, crowd, "--healthcheck.interval", interval.String())
	if err != nil {
		return err
	}
	defer node.End()
	agent, err := node.Start()
	if err != nil {
		return err
	}
	defer func() { agent.End() }()
	if _, err := node.AwaitAll(ctx, 0, "healthy", n); err != nil {
		return err
	}
	return do(node, crowd, agent)
}

func (b *bench) quiets() []step {
	return []step{{
		What: fmt.Sprintf("a quiet node of %d containers", b.size), Takes: b.quiet + b.settle + setUp(b.size), Do: b.quietNode,
	}}
}

// quietNode counts what an agent does to others while nothing happens.
func (b *bench) quietNode(ctx context.Context) error {
	return b.steady(ctx, b.size, b.every, func(node *stage.Node, crowd *stage.Crowd, agent *stage.Agent) error {
		s, err := b.watch(ctx, agent, crowd, b.quiet)
		if err != nil {
			return err
		}
		on := fmt.Sprintf(" in a quiet %s, %d containers at %s", b.quiet, b.size, b.every)
		b.addMemory(b.size, 40, s)
		b.add(report.Figure{Group: "quiet", What: "Docker API calls" + on, Ours: []float64{float64(s.docker)}}.AtMost(3))
		b.add(report.Figure{Group: "quiet", What: "etcd puts" + on, Ours: []float64{s.etcd.Puts}}.AtMost(0))
		b.add(report.Figure{Group: "quiet", What: "etcd revisions" + on, Ours: []float64{float64(s.etcd.Revision)}})
		b.add(report.Figure{Group: "quiet", What: "etcd reads (keys or ranges)" + on, Ours: []float64{s.etcd.Ranges}})
		b.add(report.Figure{Group: "quiet", What: "etcd lease renewals" + on, Ours: []float64{s.etcd.KeepAlives}})
		b.add(report.Figure{Group: "quiet", What: "context switches per probe" + on, Ours: []float64{
			float64(s.switches.Voluntary+s.switches.Involuntary) / float64(s.probes)}})
		return nil
	})
}

func (b *bench) memories() []step {
	return []step{{
		What: fmt.Sprintf("memory with %d containers", 5*b.size), Takes: b.span + b.settle + setUp(5*b.size),
		Do: func(ctx context.Context) error {
			return b.steady(ctx, 5*b.size, b.every, func(_ *stage.Node, crowd *stage.Crowd, agent *stage.Agent) error {
				s, err := b.watch(ctx, agent, crowd, max(b.span, b.every))
				if err == nil {
					b.addMemory(5*b.size, 80, s)
				}
				return err
			})
		},
	}}
}

func (b *bench) addMemory(n int, limit float64, s spell) {
	b.add(report.Figure{
		Group: "memory", What: fmt.Sprintf("resident memory, %d containers at %s", n, b.every), Unit: "MB", Ours: []float64{report.Megabytes(s.memory.Resident)},
		Note: fmt.Sprintf("%.1f MB of it anonymous; peak %.1f MB", report.Megabytes(s.memory.Anonymous), report.Megabytes(s.memory.Peak)),
	}.AtMost(limit))
}

const spreadOver = 10 * time.Second // the interval whose evenness is measured

func (b *bench) spreads() []step {
	return []step{{
		What: "the spread of probes over an interval", Takes: b.spread + b.settle + setUp(b.size), Do: b.startTimes,
	}}
}

// startTimes looks when the targets were connected to.
func (b *bench) startTimes(ctx context.Context) error {
	interval := min(spreadOver, b.spread)
	return b.steady(ctx, b.size, interval, func(_ *stage.Node, _ *stage.Crowd, agent *stage.Agent) error {
		if err := kernel.Sleep(ctx, b.settle); err != nil {
			return err
		}
		from := kernel.Now()
		if err := kernel.Sleep(ctx, b.spread); err != nil {
			return err
		}
		times := b.stage.Board.Starts(from, kernel.Now())
		mean := float64(b.size) / interval.Seconds() // a second's
		on := fmt.Sprintf(" to the mean, %d containers at %s", b.size, interval)
		b.add(report.Figure{Group: "spread", What: "probe starts: worst second" + on, Unit: "x", Ours: []float64{
			float64(most(times, time.Second)) / mean}}.AtMost(1.5))
		b.add(report.Figure{Group: "spread", What: "probe starts: worst 100 ms" + on, Unit: "x", Ours: []float64{
			float64(most(times, 100*time.Millisecond)) / mean * 10}})
		b.add(report.Figure{Group: "spread", What: "probe starts seen, of those due", Unit: "x", Ours: []float64{
			float64(len(times)) / mean / b.spread.Seconds()}})
		return nil
	})
}

// most is how many times fall into the fullest window of a width.
func most(times []time.Duration, width time.Duration) int {
	slices.Sort(times)
	fullest, first := 0, 0
	for i, at := range times {
		for at-times[first] >= width {
			first++
		}
		fullest = max(fullest, i-first+1)
	}
	return fullest
}
