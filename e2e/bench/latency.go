package main

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/projecteru2/eru-agent/status"
)

const label = "eru.bench=1"

// latency measures on real containers how soon etcd shows what happened.
func latency(ctx context.Context, s *stage, w io.Writer, rounds int) error {
	if err := s.makeImage(ctx); err != nil {
		return err
	}
	p, err := s.agent(ctx, "--docker.select", label)
	if err != nil {
		return err
	}
	defer p.end(syscall.SIGTERM)
	l := &latencies{stage: s, sights: s.follow(ctx, p.node)}
	defer l.cleanUp(context.WithoutCancel(ctx))
	for range rounds {
		if err := l.life(ctx); err != nil {
			return err
		}
		if err := l.limit(ctx); err != nil {
			return err
		}
	}
	if err := l.failures(ctx, max(rounds/3, 3)); err != nil {
		return err
	}
	l.print(w, rounds)
	return nil
}

// latencies are the measurements under way.
type latencies struct {
	*stage
	sights <-chan sight
	n      int

	started  []time.Duration // Docker's start -> healthy seen
	killed   []time.Duration // kill(2) -> stopped seen
	dies     []time.Duration // kill(2) -> Docker's die
	limits   []time.Duration // kill(2) of a bare process -> pidfd -> put -> watch
	failed   []time.Duration // 500 -> unhealthy seen
	interval time.Duration
}

func (l *latencies) run(ctx context.Context, labels ...string) (string, error) {
	l.n++
	args := []string{"run", "--detach", "--label", label, "--label", "eru.health.http.port=80", "--name", fmt.Sprintf("eru-bench-%d", l.n)}
	for _, more := range labels {
		args = append(args, "--label", more)
	}
	return l.docker(ctx, append(args, l.image)...)
}

// life starts a container and kills its process.
func (l *latencies) life(ctx context.Context) error {
	events, err := l.dockerEvents(ctx)
	if err != nil {
		return err
	}
	defer events.stop()
	id, err := l.run(ctx)
	if err != nil {
		return err
	}
	start, err := events.await("start", id)
	if err != nil {
		return err
	}
	healthy, err := await(ctx, l.sights, id, status.StateHealthy)
	if err != nil {
		return err
	}
	l.started = append(l.started, healthy.at.Sub(start))
	pid, err := l.pid(ctx, id)
	if err != nil {
		return err
	}
	begun := time.Now()
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		return err
	}
	stopped, err := await(ctx, l.sights, id, status.StateStopped)
	if err != nil {
		return err
	}
	l.killed = append(l.killed, stopped.at.Sub(begun))
	die, err := events.await("die", id)
	if err != nil {
		return err
	}
	l.dies = append(l.dies, die.Sub(begun))
	_, err = l.docker(ctx, "rm", "--force", id)
	return err
}

func (l *latencies) pid(ctx context.Context, id string) (int, error) {
	text, err := l.docker(ctx, "inspect", "--format", "{{.State.Pid}}", id)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(text)
}

// limit is the least that the way can take: a process's end by pidfd, one put,
// one watch.
func (l *latencies) limit(ctx context.Context) error {
	c := exec.CommandContext(ctx, "sleep", "60")
	if err := c.Start(); err != nil {
		return err
	}
	fd, err := unix.PidfdOpen(c.Process.Pid, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	watch := l.client.Watch(watching, "/bench/limit")
	begun := time.Now()
	_ = c.Process.Kill()
	if _, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 1000); err != nil {
		return err
	}
	if _, err := l.client.Put(ctx, "/bench/limit", "x"); err != nil {
		return err
	}
	<-watch
	l.limits = append(l.limits, time.Since(begun))
	_ = c.Wait()
	return nil
}

// failures lets a healthy container answer 500.
func (l *latencies) failures(ctx context.Context, rounds int) error {
	l.interval = time.Second
	id, err := l.run(ctx, "eru.health.interval="+l.interval.String())
	if err != nil {
		return err
	}
	addr, err := l.docker(ctx, "inspect", "--format", "{{.NetworkSettings.IPAddress}}", id)
	if err != nil {
		return err
	}
	for range rounds {
		if _, err := await(ctx, l.sights, id, status.StateHealthy); err != nil {
			return err
		}
		begun := time.Now()
		if _, err := get(ctx, "http://"+addr+":8081/behave?mode=500"); err != nil {
			return err
		}
		unhealthy, err := await(ctx, l.sights, id, status.StateUnhealthy)
		if err != nil {
			return err
		}
		l.failed = append(l.failed, unhealthy.at.Sub(begun))
		if _, err := get(ctx, "http://"+addr+":8081/behave?mode=ok"); err != nil {
			return err
		}
	}
	return nil
}

func (l *latencies) print(w io.Writer, rounds int) {
	_, _ = fmt.Fprintf(w, "LATENCY, %d rounds on real containers\tLEAST\tMEDIAN\tMOST\tGOAL\n", rounds)
	for _, row := range []struct {
		what string
		d    []time.Duration
		goal string
	}{
		{"process killed -> stopped seen by an etcd watcher", l.killed, "median under 10 ms"},
		{"  the limit: pidfd + put + watch of a bare process", l.limits, ""},
		{"  Docker's die event alone", l.dies, ""},
		{"Docker's start -> healthy seen", l.started, "median under 50 ms"},
		{fmt.Sprintf("answer turns 500 -> unhealthy seen, interval %s", l.interval), l.failed, fmt.Sprintf("at most %s", ms(l.interval+20*time.Millisecond))},
	} {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", row.what, spread(row.d), row.goal)
	}
}

func (l *latencies) cleanUp(ctx context.Context) {
	if ids, err := l.docker(ctx, "ps", "--all", "--quiet", "--filter", "label="+label); err == nil && ids != "" {
		_, _ = l.docker(ctx, append([]string{"rm", "--force"}, strings.Fields(ids)...)...)
	}
}
