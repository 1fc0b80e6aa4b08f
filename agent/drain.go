package agent

import (
	"cmp"
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/projecteru2/eru-agent/foreign"
	"github.com/projecteru2/eru-agent/status"
)

// wishes are operators' drains of this node's containers.
type wishes struct {
	of    map[string]status.Drain // by container ID, or status.WholeNode
	ends  *time.Timer             // when the next is over
	known chan struct{}           // closed once they have been told

	refused map[string]int64 // by key: the revision of what could not be read
	looked  map[string]bool  // by container ID: it has been looked at whether it changes anything
}

func newWishes() wishes {
	ends := time.NewTimer(time.Hour)
	ends.Stop()
	return wishes{ends: ends, known: make(chan struct{}), refused: map[string]int64{}, looked: map[string]bool{}}
}

// find returns the wish that is in force for a container: its own before the
// node's.
func (w *wishes) find(id string, now time.Time) string {
	if d, ok := w.of[id]; ok && !d.Over(now) {
		return explain("", d)
	}
	if d, ok := w.of[status.WholeNode]; ok && !d.Over(now) {
		return explain("whole node, ", d)
	}
	return ""
}

// explain is the detail of a container that drains for d.
func explain(scope string, d status.Drain) string {
	text := scope + "by " + cmp.Or(d.By, "somebody")
	if d.Reason != "" {
		text += ": " + d.Reason
	}
	if d.Until.IsZero() {
		return foreign.Text(text + ", until it is taken back")
	}
	return foreign.Text(text + ", until " + d.Until.Format(time.RFC3339))
}

// arm sets the timer to the next end.
func (w *wishes) arm(now time.Time) {
	var next time.Time
	for _, d := range w.of {
		if !d.Until.IsZero() && !d.Over(now) && (next.IsZero() || d.Until.Before(next)) {
			next = d.Until
		}
	}
	w.ends.Stop()
	if !next.IsZero() {
		w.ends.Reset(next.Sub(now))
	}
}

// Drain takes over what operators wish of this node's containers. Nothing is
// published before it has been called once: what an operator has taken out must
// not come back for a moment.
func (a *Agent) Drain(ctx context.Context, drains status.Drains) error {
	return a.do(ctx, func() {
		a.wishes.of = map[string]status.Drain{}
		for k, d := range drains.Wishes {
			a.wishes.of[k.ID] = d
		}
		a.refuse(drains.Unread)
		a.reconsider()
		select {
		case <-a.wishes.known:
		default:
			close(a.wishes.known)
		}
	})
}

// heed brings one container to what is wished now; others have seen was of it.
func (a *Agent) heed(l *life, was face) {
	now := time.Now()
	l.heed(a.wishes.find(l.c.ID, now), was, now)
}

// reconsider brings every container to what is wished now, and publishes that.
func (a *Agent) reconsider() {
	now := time.Now()
	for _, l := range a.lives {
		a.transit(l, now, func() {})
	}
	a.wishes.arm(now)
	a.lookForIdle()
}

// refuse counts what cannot be read, and names each key once.
func (a *Agent) refuse(unread []status.Unread) {
	was := a.wishes.refused
	a.wishes.refused = make(map[string]int64, len(unread))
	for _, u := range unread {
		revision, named := was[u.Key]
		a.wishes.refused[u.Key] = u.Revision
		if revision != u.Revision {
			a.metrics.ignored.WithLabelValues(u.Why).Inc()
		}
		if !named {
			a.log.Warn("a drain that cannot be read changes nothing", zap.String("key", foreign.Text(u.Key)), zap.String("why", u.Why), zap.Error(u.Err))
		}
	}
}

// lookForIdle counts and names each wish that changes nothing when it is first
// seen: of a container that is not here, or one whose end has passed by this
// machine's clock. One that becomes so later has had its time.
func (a *Agent) lookForIdle() {
	if !a.synced {
		return
	}
	was := a.wishes.looked
	a.wishes.looked = make(map[string]bool, len(a.wishes.of))
	for id, d := range a.wishes.of {
		a.wishes.looked[id] = true
		_, here := a.lives[id]
		switch {
		case was[id]:
		case !here && id != status.WholeNode:
			a.idle("unknown", "a drain is of a container that is not here", id, d)
		case d.Over(time.Now()):
			a.idle("over", "a drain is over already by this machine's clock", id, d)
		}
	}
}

func (a *Agent) idle(why, text, id string, d status.Drain) {
	a.metrics.ignored.WithLabelValues(why).Inc()
	a.log.Warn(text, zap.String("container", id), zap.String("by", d.By), zap.Time("until", d.Until))
}
