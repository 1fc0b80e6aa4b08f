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
	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

// prober is a process that probes.
type prober interface {
	Pid() int
	// Probes are those that it has made, and those of them that passed.
	Probes(ctx context.Context) (int64, int64, error)
}

// spell starts a method, waits until it goes evenly, and watches it for a span.
func (b *bench) spell(ctx context.Context, c cell, crowd *stage.Crowd, method string) (spell, error) {
	if method != ours {
		y, err := b.stage.Yardstick(ctx, method, c.kind, c.n, c.interval)
		if err != nil {
			return spell{}, err
		}
		defer y.End()
		return b.watch(ctx, y, crowd, max(b.span, c.interval))
	}
	node, err := b.stage.Node(ctx, crowd, "--healthcheck.interval", c.interval.String())
	if err != nil {
		return spell{}, err
	}
	defer node.End()
	agent, err := node.Start()
	if err != nil {
		return spell{}, err
	}
	defer agent.End()
	if _, err := node.AwaitAll(ctx, 0, "healthy", c.n); err != nil {
		return spell{}, err
	}
	s, err := b.watch(ctx, agent, crowd, max(b.span, c.interval))
	return s, errors.Join(err, agent.Signal(syscall.SIGTERM))
}

// spell is what a process did in a span.
type spell struct {
	span           time.Duration
	cpu            time.Duration
	probes, passed int64
	memory         kernel.Memory
	switches       kernel.Switches
	docker         int
	etcd           stage.Counters
}

// watch reads the counters at both ends of a span. The process is asked for its
// own outside of the span of the CPU clock.
func (b *bench) watch(ctx context.Context, p prober, crowd *stage.Crowd, span time.Duration) (spell, error) {
	if err := kernel.Sleep(ctx, b.settle); err != nil {
		return spell{}, err
	}
	before, err := b.read(ctx, p, crowd)
	if err != nil {
		return spell{}, err
	}
	begun := kernel.Now()
	cpu, err := kernel.CPU(p.Pid())
	if err != nil {
		return spell{}, err
	}
	if err := kernel.Sleep(ctx, span); err != nil {
		return spell{}, err
	}
	later, err := kernel.CPU(p.Pid())
	if err != nil {
		return spell{}, err
	}
	ended := kernel.Now()
	s, err := b.read(ctx, p, crowd)
	s.span, s.cpu = ended-begun, later-cpu
	s.probes -= before.probes
	s.passed -= before.passed
	s.docker -= before.docker
	s.switches.Voluntary -= before.switches.Voluntary
	s.switches.Involuntary -= before.switches.Involuntary
	s.etcd = s.etcd.Minus(before.etcd)
	if err == nil && s.passed == 0 {
		err = fmt.Errorf("of %d probes none passed", s.probes)
	}
	return s, err
}

func (b *bench) read(ctx context.Context, p prober, crowd *stage.Crowd) (spell, error) {
	var s spell
	var errs [4]error
	s.probes, s.passed, errs[0] = p.Probes(ctx)
	s.memory, errs[1] = kernel.MemoryOf(p.Pid())
	s.switches, errs[2] = kernel.SwitchesOf(p.Pid())
	s.etcd, errs[3] = b.stage.Etcd.Counters(ctx)
	s.docker = crowd.Requests(dockertest.Everything)
	return s, errors.Join(errs[:]...)
}

func (s spell) perProbe() float64 { return report.Microseconds(s.cpu) / float64(max(s.probes, 1)) }

func (s spell) point(c cell) report.Point {
	seconds := s.span.Seconds()
	return report.Point{
		N: c.n, Interval: c.interval.Seconds(), Kind: c.kind, Span: seconds,
		Rate: float64(s.probes) / seconds, CPU: report.Milliseconds(s.cpu) / seconds,
		Resident: report.Megabytes(s.memory.Resident), Anonymous: report.Megabytes(s.memory.Anonymous), Peak: report.Megabytes(s.memory.Peak),
		Voluntary: float64(s.switches.Voluntary) / seconds, Forced: float64(s.switches.Involuntary) / seconds,
		Docker: float64(s.docker), Puts: s.etcd.Puts, KeepAlives: s.etcd.KeepAlives,
	}
}

// note tells what makes a figure less than it seems.
func (s spell) note(c cell) string {
	want := float64(c.n) * s.span.Seconds() / c.interval.Seconds()
	switch {
	case s.passed < s.probes:
		return fmt.Sprintf("%d of our %d probes failed", s.probes-s.passed, s.probes)
	case float64(s.probes) < 0.95*want:
		return fmt.Sprintf("kept up with %.0f %% of the probes", 100*float64(s.probes)/want)
	}
	return ""
}
