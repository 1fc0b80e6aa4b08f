package watcher

import (
	"context"
	"maps"
	"time"
)

// lagMax is how long after a die Docker is not believed that a life runs that
// began before it. A clock that was set back ends it, not the life.
const lagMax = 5 * time.Second

// apply brings a record to what Docker says and tells what is news.
func (k *keeper) apply(ctx context.Context, id string, d details, r *record) bool {
	r.missed = r.missed && d.phase == phaseRemoved
	switch {
	case d.phase == phaseRemoved:
		return k.missing(ctx, id, r)
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
	was, anew := r.phase, !d.container.Started.Equal(r.c.Started)
	if was == phaseUnknown || anew {
		r.oom = r.oom && was != phaseExited                          // else that was of the life before
		r.c, r.phase, r.target = d.container, phaseRunning, d.target // it ran, and ended before it was seen
	}
	renamed := d.container.Name != r.c.Name // with its end, or after it
	r.c.Name = d.container.Name
	d.exit.OOM = d.exit.OOM || r.oom
	told := k.exited(ctx, d.id, r, d.exit, time.Now())
	if renamed && !told {
		k.tell(ctx, Event{Kind: Exited, ID: d.id, Container: r.c, Exit: r.exit})
	}
	return was != phaseExited || anew || renamed
}

func (k *keeper) running(ctx context.Context, d details, r *record) bool {
	c := d.container
	fate := k.watchDeath(d.id, c.Pid)
	switch {
	case fate == fateEnded: // Docker does not know it yet
		d.exit = Exit{}
		return k.ended(ctx, d, r)
	case fate != fateAlive && r.outlived(c):
		if r.phase != phaseExited { // nobody has told of its end
			k.fly(ctx, d.id, r, doubtEvery)
		}
		return false
	case fate == fateUnseen && r.doubt(c):
		k.fly(ctx, d.id, r, doubtEvery)
		return false
	case fate == fateUnseen:
		k.deaths.disbelieve()
		k.watchDeath(d.id, c.Pid) // which says so
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

func same(a, b Container) bool {
	return a.Started.Equal(b.Started) && a.Pid == b.Pid && a.Paused == b.Paused && a.Name == b.Name &&
		a.Addr == b.Addr && a.NoAddr == b.NoAddr && a.Host == b.Host &&
		maps.Equal(a.Networks, b.Networks) && maps.Equal(a.Published, b.Published)
}
