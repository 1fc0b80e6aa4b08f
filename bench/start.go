package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/projecteru2/eru-agent/bench/kernel"
	"github.com/projecteru2/eru-agent/bench/report"
	"github.com/projecteru2/eru-agent/bench/stage"
)

func (b *bench) beginnings() []step {
	rounds := time.Duration(b.starts)
	return []step{
		{What: fmt.Sprintf("the start of the agent on %d containers", b.size), Takes: rounds * setUp(b.size), Do: b.start},
		{What: fmt.Sprintf("the restart of the agent under %d containers", b.size), Takes: (rounds + 1) * (setUp(b.size) + 2*b.settle), Do: b.restart},
		{What: fmt.Sprintf("%d starts in a second", b.size), Takes: rounds * (setUp(b.size) + 500*time.Millisecond), Do: b.containerStarts},
	}
}

// start measures from the start of the process to the last key that says healthy.
func (b *bench) start(ctx context.Context) error {
	f := report.Figure{
		Group: "starts", What: fmt.Sprintf("start of the agent -> %d containers verified and right in etcd", b.size), Unit: "ms",
	}.AtMost(1200)
	crowd := b.stage.Crowd(b.size, "http")
	defer crowd.End()
	var cpu [3]time.Duration
	for range b.starts {
		node, err := b.stage.Node(ctx, crowd)
		if err != nil {
			return err
		}
		took, used, err := b.firstStart(ctx, node)
		node.End()
		if err != nil {
			return err
		}
		f.Ours = append(f.Ours, report.Milliseconds(took))
		for i := range used {
			cpu[i] += used[i] / time.Duration(b.starts)
		}
	}
	f.Note = fmt.Sprintf("CPU of the agent %.0f ms, of the fake Docker and the witness %.0f ms, of etcd %.0f ms",
		report.Milliseconds(cpu[0]), report.Milliseconds(cpu[1]), report.Milliseconds(cpu[2]))
	b.add(f)
	return nil
}

// firstStart also says what CPU the agent, this process and etcd took meanwhile.
func (b *bench) firstStart(ctx context.Context, node *stage.Node) (time.Duration, [3]time.Duration, error) {
	var used [3]time.Duration
	self, err := kernel.CPU(os.Getpid())
	if err != nil {
		return 0, used, err
	}
	etcd, err := kernel.CPU(b.stage.Etcd.Pid())
	if err != nil {
		return 0, used, err
	}
	agent, err := node.Start()
	if err != nil {
		return 0, used, err
	}
	defer agent.End()
	last, err := node.AwaitAll(ctx, 0, "healthy", b.size)
	if err != nil {
		return 0, used, err
	}
	var errs [3]error
	for i, pid := range []int{agent.Pid(), os.Getpid(), b.stage.Etcd.Pid()} {
		used[i], errs[i] = kernel.CPU(pid)
	}
	used[1] -= self
	used[2] -= etcd
	return last.At - agent.Begun, used, errors.Join(errs[:]...)
}

// restart ends the agent, by SIGTERM and by SIGKILL in turns, and starts it anew:
// when has the new one connected to every container, and what has it written?
func (b *bench) restart(ctx context.Context) error {
	took := report.Figure{
		Group: "starts", What: fmt.Sprintf("restart of the agent -> %d containers verified again", b.size), Unit: "ms",
	}.AtMost(1200)
	events := report.Figure{
		Group: "starts", What: fmt.Sprintf("status events of a restart under %d containers", b.size), Worst: true,
	}.AtMost(0)
	crowd := b.stage.Crowd(b.size, "http")
	defer crowd.End()
	node, err := b.stage.Node(ctx, crowd, "--healthcheck.interval", b.every.String())
	if err != nil {
		return err
	}
	defer node.End()
	agent, err := node.Start()
	if err != nil {
		return err
	}
	defer func() { agent.End() }()
	if _, err := node.AwaitAll(ctx, 0, "healthy", b.size); err != nil {
		return err
	}
	for round := range b.starts {
		if err := kernel.Sleep(ctx, b.settle); err != nil {
			return err
		}
		before := node.Seen()
		if err := agent.Stop([]syscall.Signal{syscall.SIGTERM, syscall.SIGKILL}[round%2]); err != nil {
			return err
		}
		b.stage.Board.Forget()
		if agent, err = node.Start(); err != nil {
			return err
		}
		verified, err := b.verified(ctx, b.size)
		if err != nil {
			return err
		}
		took.Ours = append(took.Ours, report.Milliseconds(verified-agent.Begun))
		if err := kernel.Sleep(ctx, b.settle); err != nil {
			return err
		}
		events.Ours = append(events.Ours, float64(node.Seen()-before))
	}
	b.add(took)
	b.add(events)
	return nil
}

// verified is when the last of the first n targets was connected to.
func (b *bench) verified(ctx context.Context, n int) (time.Duration, error) {
	var last time.Duration
	err := stage.Within(ctx, func(ctx context.Context) error {
		return stage.Until(ctx, "every container to be probed", func() bool {
			probed, at := b.stage.Board.Probed(n)
			last = at
			return probed == n
		})
	})
	return last, err
}

// containerStarts lets containers start, evenly over a second.
func (b *bench) containerStarts(ctx context.Context) error {
	f := report.Figure{
		Group: "starts", What: fmt.Sprintf("%d containers start in 1s: the last start -> the last healthy seen", b.size), Unit: "ms",
	}.AtMost(500)
	longest := time.Duration(0)
	for range b.starts {
		started, took, err := b.secondOfStarts(ctx)
		if err != nil {
			return err
		}
		longest = max(longest, started)
		f.Ours = append(f.Ours, report.Milliseconds(took))
	}
	f.Note = fmt.Sprintf("they took %.0f ms to start", report.Milliseconds(longest))
	b.add(f)
	return nil
}

// secondOfStarts says how long the starts took, and how long after the last of
// them the last healthy was seen.
func (b *bench) secondOfStarts(ctx context.Context) (time.Duration, time.Duration, error) {
	crowd := b.stage.Crowd(0, "http")
	defer crowd.End()
	node, err := b.stage.Node(ctx, crowd, "--healthcheck.interval", b.every.String())
	if err != nil {
		return 0, 0, err
	}
	defer node.End()
	agent, err := node.Start()
	if err != nil {
		return 0, 0, err
	}
	defer agent.End()
	if err := stage.Within(ctx, agent.AwaitReady); err != nil {
		return 0, 0, err
	}
	begun := kernel.Now()
	for i := range b.size {
		due := begun + time.Second*time.Duration(i)/time.Duration(b.size)
		if wait := due - kernel.Now(); wait > 0 {
			if err := kernel.Sleep(ctx, wait); err != nil {
				return 0, 0, err
			}
		}
		crowd.Join(0, nil)
	}
	last := kernel.Now()
	seen, err := node.AwaitAll(ctx, 0, "healthy", b.size)
	return last - begun, seen.At - last, err
}
