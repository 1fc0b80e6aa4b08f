package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/projecteru2/eru-agent/bench/kernel"
	"github.com/projecteru2/eru-agent/bench/report"
	"github.com/projecteru2/eru-agent/bench/stage"
)

// realLife measures on real containers of the machine's own Docker how soon etcd
// shows what happened to one.
type realLife struct {
	*bench
	docker *stage.Docker
	node   *stage.Node
	bare   *stage.Bare

	healthy, killed, die, failed report.Figure
}

func (b *bench) reals() []step {
	return []step{{What: "one real container's life", Takes: 2*time.Second + time.Duration(b.latency)*1200*time.Millisecond, Do: b.real}}
}

const realInterval = time.Second

func (b *bench) real(ctx context.Context) error {
	docker, err := b.stage.Docker(ctx)
	if err != nil {
		if ctx.Err() == nil {
			b.report.Skipped = append(b.report.Skipped, "real containers: "+err.Error())
			return nil
		}
		return err
	}
	r := &realLife{bench: b, docker: docker,
		killed:  report.Figure{Group: "real containers", What: "process killed -> stopped seen", Unit: "ms", Stick: "bare client"}.AtMost(10),
		die:     report.Figure{Group: "real containers", What: "process killed -> Docker's die, by its own clock", Unit: "ms"},
		healthy: report.Figure{Group: "real containers", What: "Docker's start -> healthy seen", Unit: "ms"}.AtMost(50),
		failed: report.Figure{Group: "real containers", What: fmt.Sprintf("answer turns 500 -> unhealthy seen, interval %s", realInterval), Unit: "ms", Worst: true}.
			AtMost(report.Milliseconds(realInterval + 20*time.Millisecond)),
	}
	if r.node, err = b.stage.NodeAt(ctx, docker.Endpoint, "--docker.select", docker.Label); err != nil {
		return err
	}
	defer r.node.End()
	agent, err := r.node.Start()
	if err != nil {
		return err
	}
	defer agent.End()
	if err := stage.Within(ctx, agent.AwaitReady); err != nil {
		return err
	}
	if r.bare, err = b.stage.Bare(ctx, nil); err != nil {
		return err
	}
	defer r.bare.End()
	return r.measure(ctx)
}

func (r *realLife) measure(ctx context.Context) error {
	for range max(r.latency/2, 1) { // each takes long
		if err := stage.Within(ctx, r.life); err != nil {
			return err
		}
		if err := stage.Within(ctx, r.bareLife); err != nil {
			return err
		}
	}
	if err := r.failures(ctx, max(r.latency/4, 1)); err != nil {
		return err
	}
	for _, f := range []report.Figure{r.killed, r.die, r.healthy, r.failed} {
		r.add(f)
	}
	return nil
}

// life starts a container and kills its process.
func (r *realLife) life(ctx context.Context) error {
	events, err := r.docker.Events(ctx)
	if err != nil {
		return err
	}
	defer events.End()
	id, err := r.docker.Run(ctx, r.docker.Label)
	if err != nil {
		return err
	}
	start, err := events.Await(ctx, "start", id)
	if err != nil {
		return err
	}
	healthy, err := r.await(ctx, id, "healthy")
	if err != nil {
		return err
	}
	r.healthy.Ours = append(r.healthy.Ours, report.Milliseconds(healthy.At-monotonic(start)))
	pid, err := r.docker.Pid(ctx, id)
	if err != nil {
		return err
	}
	begun, err := kill(ctx, pid)
	if err != nil {
		return err
	}
	stopped, err := r.await(ctx, id, "stopped")
	if err != nil {
		return err
	}
	r.killed.Ours = append(r.killed.Ours, report.Milliseconds(stopped.At-begun))
	die, err := events.Await(ctx, "die", id)
	if err != nil {
		return err
	}
	r.die.Ours = append(r.die.Ours, report.Milliseconds(monotonic(die)-begun))
	_, err = r.docker.Command(ctx, "rm", "--force", id)
	return err
}

// kill ends a process once all is calm, and says when.
func kill(ctx context.Context, pid int) (time.Duration, error) {
	if err := calm(ctx); err != nil {
		return 0, err
	}
	begun := kernel.Now()
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		return 0, fmt.Errorf("killing: %w", err)
	}
	return begun, nil
}

// monotonic is a time of the wall clock on the one that figures are made with.
func monotonic(t time.Time) time.Duration { return kernel.Now() - time.Since(t) }

func (r *realLife) await(ctx context.Context, id, state string) (stage.Sight, error) {
	return r.node.Await(ctx, 0, fmt.Sprintf("container %.12s to be %s", id, state), func(s stage.Sight) bool {
		return s.ID == id && s.State == state
	})
}

// bareLife does the same with a container that the bare client watches.
func (r *realLife) bareLife(ctx context.Context) error {
	id, err := r.docker.Run(ctx)
	if err != nil {
		return err
	}
	pid, err := r.docker.Pid(ctx, id)
	if err != nil {
		return err
	}
	key, err := r.bare.Watch(ctx, pid)
	if err != nil {
		return err
	}
	begun, err := kill(ctx, pid)
	if err != nil {
		return err
	}
	seen, err := r.bare.Await(ctx, 0, "the bare client to tell", func(s stage.Sight) bool { return s.ID == key })
	if err != nil {
		return err
	}
	r.killed.Stuck = append(r.killed.Stuck, report.Milliseconds(seen.At-begun))
	_, err = r.docker.Command(ctx, "rm", "--force", id)
	return err
}

// failures lets a healthy container answer 500.
func (r *realLife) failures(ctx context.Context, rounds int) error {
	id, err := r.docker.Run(ctx, r.docker.Label, "eru.health.interval="+realInterval.String())
	if err != nil {
		return err
	}
	addr, err := r.docker.Address(ctx, id)
	if err != nil {
		return err
	}
	seen := 0
	for range rounds {
		err := stage.Within(ctx, func(ctx context.Context) error {
			return r.failure(ctx, id, "http://"+addr+":8081/behave?mode=", &seen)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// failure is one; seen is how much of what the witness saw is behind us.
func (r *realLife) failure(ctx context.Context, id, behave string, seen *int) error {
	await := func(state string) (stage.Sight, error) {
		return r.node.Await(ctx, *seen, fmt.Sprintf("container %.12s to be %s", id, state), func(s stage.Sight) bool {
			*seen++
			return s.ID == id && s.State == state
		})
	}
	if _, err := await("healthy"); err != nil {
		return err
	}
	begun := kernel.Now()
	if _, err := stage.Get(ctx, behave+"500"); err != nil {
		return err
	}
	unhealthy, err := await("unhealthy")
	if err != nil {
		return err
	}
	r.failed.Ours = append(r.failed.Ours, report.Milliseconds(unhealthy.At-begun))
	_, err = stage.Get(ctx, behave+"ok")
	return err
}
