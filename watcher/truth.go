package watcher

import (
	"context"
	"errors"
	"maps"
	"time"

	"go.uber.org/zap"
)

// lagMax is how long after a die Docker is not believed that a life runs that
// began before it. A clock that was set back ends it, not the life.
const lagMax = 5 * time.Second

// apply brings a record to what Docker says and tells what is news.
func (k *keeper) apply(ctx context.Context, id string, d details, r *record) bool {
	switch {
	case d.phase == phaseRemoved:
		return k.removed(ctx, id, r)
	case !k.ours(d.container.Labels), d.phase == phaseCreated && r.phase == phaseUnknown:
		delete(k.known, id)
		return false
	case d.phase == phaseRunning:
		return k.running(ctx, d, r)
	case d.phase == phaseExited:
		return k.ended(ctx, d, r)
	default:
		return false
	}
}

func (k *keeper) ended(ctx context.Context, d details, r *record) bool {
	was := r.phase
	if was == phaseUnknown || !d.container.Started.Equal(r.c.Started) {
		r.c, r.phase, r.target = d.container, phaseRunning, d.target // it ran, and ended before it was seen
	}
	d.exit.OOM = d.exit.OOM || r.oom
	k.exited(ctx, d.id, r, d.exit, time.Now())
	return was != phaseExited
}

func (k *keeper) running(ctx context.Context, d details, r *record) bool {
	c := d.container
	switch k.watchDeath(d.id, c.Pid) {
	case fateEnded: // Docker does not know it yet
		d.exit = Exit{}
		return k.ended(ctx, d, r)
	case fateUnknown:
		if r.outlived(c) {
			return false
		}
	}
	if r.phase == phaseRunning && same(r.c, c) {
		return false
	}
	if r.phase != phaseRunning || !c.Started.Equal(r.c.Started) {
		r.oom = false
	}
	r.c, r.phase, r.target, r.exit = c, phaseRunning, d.target, Exit{}
	k.tell(ctx, Event{Kind: Running, ID: d.id, Container: c})
	return true
}

// outlived says whether Docker still calls a life running that has ended: 20.10
// does for 400 ms and more (FACTS).
func (r *record) outlived(c Container) bool {
	if r.phase == phaseExited && c.Started.Equal(r.c.Started) {
		return true
	}
	return !r.died.IsZero() && !c.Started.After(r.died) && time.Since(r.heard) < lagMax
}

// watchDeath asks the kernel for its word on pid, and says once if there is
// none.
func (k *keeper) watchDeath(id string, pid int) fate {
	if k.deaths == nil {
		return fateUnknown
	}
	err := k.deaths.watch(id, pid)
	switch {
	case err == nil:
		return fateAlive
	case errors.Is(err, errGone):
		return fateEnded
	}
	if !k.saidNoWord {
		k.saidNoWord = true
		k.log.Warn("no pidfd for a container; where there is none, its end is taken from Docker's events, some 80 ms later", zap.String("container", id), zap.Error(err))
	}
	return fateUnknown
}

func same(a, b Container) bool {
	return a.Started.Equal(b.Started) && a.Pid == b.Pid && a.Paused == b.Paused && a.Name == b.Name &&
		a.Addr == b.Addr && a.NoAddr == b.NoAddr && a.Host == b.Host &&
		maps.Equal(a.Networks, b.Networks) && maps.Equal(a.Published, b.Published)
}
