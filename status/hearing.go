package status

import (
	"context"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// A View hears of etcd as the follower's audience, and of time from keepTime. Each
// way has a twin that is told the time, for those who replay.

func (v *View) listed(l listing) { v.listedAt(l, time.Now()) }

func (v *View) listedAt(l listing, now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.applyLocked(v.reading.listed(l, now), now)
	v.fromCopy = false
	v.fareLocked(nil)
}

func (v *View) watched(revision int64, events []*clientv3.Event) {
	v.watchedAt(revision, events, time.Now())
}

func (v *View) watchedAt(revision int64, events []*clientv3.Event, now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.applyLocked(v.reading.watched(revision, events), now)
}

func (v *View) looked(revision int64) error { return v.lookedAt(revision, time.Now()) }

func (v *View) lookedAt(revision int64, now time.Time) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	changes, err := v.reading.looked(revision, now)
	v.applyLocked(changes, now)
	if err == nil && !v.synced {
		v.fareLocked(nil)
	}
	return err
}

func (v *View) lost(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.fareLocked(err)
}

// fareLocked says whether etcd can be followed.
func (v *View) fareLocked(err error) {
	v.synced, v.trouble = err == nil, err
	nudge(v.changed)
}

func (v *View) tick(now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.machine.tick(now) {
		nudge(v.changed, v.unsaved)
	}
}

func (v *View) applyLocked(changes []Change, now time.Time) {
	if len(changes) == 0 {
		return
	}
	nudge(v.unsaved)
	if v.machine.apply(changes, now) {
		nudge(v.changed, v.wake)
	}
}

// nudge says that there is something to do, to whoever does not know yet.
func nudge(all ...chan struct{}) {
	for _, c := range all {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// keepTime ticks when time alone changes a set.
func (v *View) keepTime(ctx context.Context) {
	for {
		v.mu.Lock()
		next := v.machine.next()
		v.mu.Unlock()
		var due <-chan time.Time
		if !next.IsZero() {
			due = time.After(time.Until(next))
		}
		select {
		case <-ctx.Done():
			return
		case <-v.wake:
		case <-due:
			v.tick(time.Now())
		}
	}
}
