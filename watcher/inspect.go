package watcher

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// phase is what Docker says of a container's process.
type phase int

const (
	phaseUnknown phase = iota
	phaseCreated
	phaseRunning
	phaseExited
	phaseRemoved
)

// details are Docker's answer about one container.
type details struct {
	id        string
	phase     phase
	container Container
	exit      Exit
	target    string // the container whose network it shares, "" for none
}

// refusals is after how many failed inspects Docker is held not to tell about a
// container. A daemon that is away refuses nothing.
const refusals = 3

// inspectUntil asks until Docker answers; a container whose lock is held keeps
// nobody but this goroutine waiting. ok is false when ctx ended first. refused is
// called once if Docker seems not to tell about this container.
func (w *Watcher) inspectUntil(ctx context.Context, id string, refused func(error)) (details, bool) {
	wait := newBackOff()
	refusal := 0
	for failures := 0; ; failures++ {
		d, err := w.inspect(ctx, id)
		if err == nil {
			return d, true
		}
		if !client.IsErrConnectionFailed(err) {
			if refusal++; refusal == refusals {
				refused(err)
			}
		}
		if failures%60 == 5 {
			w.log.Warn("Docker does not tell about a container; what is known of it stands", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return details{}, false
		case <-time.After(wait.NextBackOff()):
		}
	}
}

func (w *Watcher) inspect(ctx context.Context, id string) (details, error) {
	select {
	case w.asking <- struct{}{}:
		defer func() { <-w.asking }()
	case <-ctx.Done():
		return details{}, ctx.Err()
	}
	cli, err := w.docker.current()
	if err != nil {
		return details{}, err
	}
	d, err := inspect(ctx, cli, id)
	if err != nil {
		err = w.docker.explain(err)
	}
	return d, err
}

func inspect(ctx context.Context, cli *client.Client, id string) (details, error) {
	ctx, cancel := context.WithTimeout(ctx, inspectTimeout)
	defer cancel()
	info, err := cli.ContainerInspect(ctx, id)
	if errdefs.IsNotFound(err) {
		return details{id: id, phase: phaseRemoved}, nil
	}
	if err != nil {
		return details{}, fmt.Errorf("inspecting container %.12s: %w", id, err)
	}
	if !complete(info) {
		return details{}, fmt.Errorf("inspecting container %.12s: the answer has no state", id)
	}
	d := read(info)
	if d.target == "" || d.phase != phaseRunning {
		return d, nil
	}
	target, err := cli.ContainerInspect(ctx, d.target)
	if err != nil && !errdefs.IsNotFound(err) {
		return details{}, fmt.Errorf("inspecting container %.12s, whose network %.12s shares: %w", d.target, id, err)
	}
	d.container.borrow(d.target, target, err == nil)
	return d, nil
}

func complete(info container.InspectResponse) bool {
	return info.ContainerJSONBase != nil && info.State != nil
}

// read takes what concerns us from Docker's answer, any part of which may be
// missing (Podman leaves out several).
func read(info container.InspectResponse) details {
	if !complete(info) {
		return details{}
	}
	d := details{id: info.ID, exit: Exit{Known: true, Code: info.State.ExitCode, OOM: info.State.OOMKilled}}
	c := &d.container
	c.ID, c.Name, c.Pid, c.Paused = info.ID, strings.TrimPrefix(info.Name, "/"), info.State.Pid, info.State.Paused
	c.StopSignal, c.StopTimeout = syscall.SIGTERM, 10*time.Second
	c.Started, _ = time.Parse(time.RFC3339Nano, info.State.StartedAt)
	if info.Config != nil {
		c.Labels = info.Config.Labels
		c.StopSignal = stopSignal(info.Config.StopSignal)
		if t := info.Config.StopTimeout; t != nil {
			c.StopTimeout = time.Duration(*t) * time.Second
		}
	}
	if info.HostConfig != nil {
		d.target, _ = strings.CutPrefix(string(info.HostConfig.NetworkMode), "container:")
		if !info.HostConfig.NetworkMode.IsContainer() {
			d.target = ""
		}
	}
	c.locate(info)
	d.phase = phaseOf(info.State, c.Started)
	return d
}

func phaseOf(s *container.State, started time.Time) phase {
	switch {
	case (s.Running || s.Paused) && s.Pid > 0: // a container between restarts is "running" with no process
		return phaseRunning
	case started.IsZero() || started.Year() <= 1:
		return phaseCreated
	default:
		return phaseExited
	}
}

// stopSignal reads a name or number; SIGTERM where it is none.
func stopSignal(s string) syscall.Signal {
	if n, err := strconv.Atoi(s); err == nil && n > 0 {
		return syscall.Signal(n)
	}
	s = strings.TrimPrefix(strings.ToUpper(s), "SIG")
	if above, ok := strings.CutPrefix(s, "RTMIN"); ok {
		n, _ := strconv.Atoi(strings.TrimPrefix(above, "+"))
		return syscall.Signal(34 + n) // signal(7): glibc's SIGRTMIN
	}
	if below, ok := strings.CutPrefix(s, "RTMAX"); ok {
		n, _ := strconv.Atoi(strings.TrimPrefix(below, "-"))
		return syscall.Signal(64 - n)
	}
	if sig := unix.SignalNum("SIG" + s); sig != 0 {
		return sig
	}
	return syscall.SIGTERM
}

// Find asks Docker for one container by ID, by the beginning of one, or by
// name, for a person at a terminal. ctx bounds it.
func Find(ctx context.Context, cfg Config, name string) (Container, error) {
	d := &docker{cfg: cfg}
	cli, err := d.connect(ctx)
	if err != nil {
		return Container{}, err
	}
	defer func() { _ = cli.Close() }()
	got, err := inspect(ctx, cli, name)
	switch {
	case err != nil:
		return Container{}, err
	case got.phase == phaseRemoved:
		return Container{}, fmt.Errorf("looking for container %q in Docker at %q: there is none", name, cfg.Endpoint)
	case got.phase != phaseRunning:
		return Container{}, fmt.Errorf("looking for container %q in Docker at %q: it does not run", name, cfg.Endpoint)
	}
	return got.container, nil
}

// loopback is where a container with the node's network is reached.
var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1}) //nolint:gochecknoglobals // a constant
