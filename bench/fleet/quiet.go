package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/projecteru2/eru-agent/bench/kernel"
	"github.com/projecteru2/eru-agent/bench/report"
	"github.com/projecteru2/eru-agent/bench/stage"
)

// spell is what happened in a span.
type spell struct {
	stage.Traffic
	span  time.Duration
	alone []time.Duration // CPU of the agents that are processes of their own
	many  time.Duration   // CPU of all others
	heard float64         // responses of etcd to the bench itself
}

// watch reads all counters around what happens.
func (f *fleet) watch(ctx context.Context, happens func() error) (spell, error) {
	before, err := f.read(ctx)
	if err != nil {
		return spell{}, err
	}
	begun := kernel.Now()
	if err := happens(); err != nil {
		return spell{}, err
	}
	s, err := f.read(ctx)
	s.span = kernel.Now() - begun
	s.Traffic = s.Traffic.Minus(before.Traffic)
	s.many -= before.many
	s.heard -= before.heard
	for i, cpu := range before.alone {
		s.alone[i] -= cpu
	}
	return s, err
}

func (f *fleet) read(ctx context.Context) (spell, error) {
	s := spell{heard: float64(f.witness.Heard() + f.term.Heard())}
	var err error
	if s.Traffic, err = f.stage.Etcd.Traffic(ctx); err != nil {
		return s, err
	}
	for _, k := range f.all() {
		cpu := time.Duration(0)
		if !k.ended {
			if cpu, err = kernel.CPU(k.process.Pid()); err != nil {
				return s, err
			}
		}
		if len(s.alone) < alone {
			s.alone = append(s.alone, cpu)
		} else {
			s.many += cpu
		}
	}
	return s, nil
}

// woken are the watch responses that agents have got.
func (s spell) woken() float64 { return s.Responses - s.heard }

// ofCore is a time of CPU in per cent of the span.
func (s spell) ofCore(cpu time.Duration) float64 { return 100 * cpu.Seconds() / s.span.Seconds() }

// requests are all that clients have sent in a second, and by kind for a note.
func (s spell) requests() (float64, string) {
	total := 0.0
	var kinds []string
	for _, method := range slices.Sorted(maps.Keys(s.Requests)) {
		if n := s.Requests[method]; n > 0 {
			total += n
			kinds = append(kinds, fmt.Sprintf("%s %.1f", method, n/s.span.Seconds()))
		}
	}
	return total / s.span.Seconds(), strings.Join(kinds, ", ")
}

// calm measures while nothing happens.
func (f *fleet) calm(ctx context.Context) error {
	if err := kernel.Sleep(ctx, f.ttl); err != nil { // what has been started comes to rest
		return err
	}
	seen := f.witness.Seen()
	s, err := f.watch(ctx, func() error { return kernel.Sleep(ctx, f.quiet) })
	if err != nil {
		return err
	}
	total, kinds := s.requests()
	on := fmt.Sprintf("%d quiet nodes, TTL %s: ", f.nodes, f.ttl)
	figure := func(what, unit string, value float64, note string) report.Figure {
		return report.Figure{Group: "quiet", What: on + what, Unit: unit, Ours: []float64{value}, Note: note}
	}
	f.add(
		figure("requests to etcd a second", "", total, kinds).AtMost(400),
		figure("keys written in "+f.quiet.String(), "", s.Puts, "").AtMost(0),
		figure("revisions in "+f.quiet.String(), "", float64(s.Revision), "").AtMost(0),
		figure("watchers in etcd", "", s.Watchers, "two of them the bench's"),
		figure("watch responses to agents in "+f.quiet.String(), "", s.woken(), ""),
		figure("CPU of etcd's three members", "%", s.ofCore(s.CPU), "of one core"),
		figure("CPU of etcd's three members for each node", "us/s", report.Microseconds(s.CPU)/s.span.Seconds()/float64(f.nodes), ""),
		figure("memory of etcd's largest member", "MB", report.Megabytes(s.Resident), fmt.Sprintf("its database has %.0f MB", report.Megabytes(s.Database))),
		figure("CPU of the other agents, with their Docker", "%", s.ofCore(s.many), fmt.Sprintf("of one core; probes every %s", f.interval)),
		f.wrongCuts("quiet", on, seen),
	)
	if err := f.addMonitor(ctx, s); err != nil {
		return err
	}
	return f.scan(ctx)
}

// keysPage is package status's.
const keysPage = 10000

// scan reads all keys as an agent does that claims its node, and the monitor
// that looks for a silent node's.
func (f *fleet) scan(ctx context.Context) error {
	from := prefix + "/status/"
	end, keys := clientv3.GetPrefixRangeEnd(from), 0
	s, err := f.watch(ctx, func() error {
		for {
			resp, err := f.stage.Etcd.Client.Get(ctx, from, clientv3.WithRange(end), clientv3.WithKeysOnly(), clientv3.WithLimit(keysPage))
			if err != nil {
				return fmt.Errorf("reading all keys: %w", err)
			}
			keys += len(resp.Kvs)
			if !resp.More {
				return nil
			}
			from = string(resp.Kvs[len(resp.Kvs)-1].Key) + "\x00"
		}
	})
	f.add(report.Figure{Group: "quiet", What: fmt.Sprintf("one reading of all %d keys, as a claim does: CPU of etcd's members", keys), Unit: "ms",
		Ours: []float64{report.Milliseconds(s.CPU)}, Note: fmt.Sprintf("%.0f ms in all", report.Milliseconds(s.span))})
	return err
}

// addMonitor compares the monitor with an agent that is not elected.
func (f *fleet) addMonitor(ctx context.Context, s spell) error {
	if f.monitor(ctx) != f.alone[0] {
		f.report.Skipped = append(f.report.Skipped, "what the monitor costs: the agent that is a process of its own is not elected any more")
		return nil
	}
	for i, who := range []string{"the monitor", "an agent that is not"} {
		memory, err := kernel.MemoryOf(f.alone[i].process.Pid())
		if err != nil {
			return err
		}
		f.add(report.Figure{Group: "monitor", What: fmt.Sprintf("quiet, %d nodes: CPU of %s", f.nodes, who), Unit: "%", Ours: []float64{s.ofCore(s.alone[i])}, Note: "of one core"},
			report.Figure{Group: "monitor", What: fmt.Sprintf("quiet, %d nodes: memory of %s", f.nodes, who), Unit: "MB", Ours: []float64{report.Megabytes(memory.Resident)},
				Note: fmt.Sprintf("%.1f MB of it anonymous", report.Megabytes(memory.Anonymous))})
	}
	return nil
}
