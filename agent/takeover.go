package agent

import (
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/projecteru2/eru-agent/status"
)

// adopt hands what was found to the lives that it is of, and keeps the rest
// until Docker has told of its container, or that there is none.
func (a *Agent) adopt(found []status.Found) {
	a.prior = map[string][]status.Found{}
	for _, f := range found {
		a.prior[f.Key.ID] = append(a.prior[f.Key.ID], f)
	}
	for id, l := range a.lives {
		if found, ok := a.prior[id]; ok {
			delete(a.prior, id)
			a.readopt(l, found)
		}
	}
	a.retireOrphans()
}

// readopt takes over for a life that began before etcd could be read.
func (a *Agent) readopt(l *life, found []status.Found) {
	was := l.face().state
	a.takeOver(l, found)
	a.metrics.shift(was, l.face().state)
	if l.verified.IsZero() && l.runs() {
		a.care(l)
	}
	a.restate(l, time.Now())
}

// takeOver lets l continue what was published of the same life: under its own
// key if it stands there, else under another one. What stands under other keys
// is dropped.
func (a *Agent) takeOver(l *life, found []status.Found) {
	var last *status.Status
	for _, f := range found {
		if f.Key != l.key {
			a.publish.Drop(f.Key)
		}
		if f.Status.Started.Equal(l.c.Started) && (last == nil || f.Key == l.key) {
			last = &f.Status
		}
	}
	if last != nil {
		l.resume(*last, time.Now())
		l.inherited = l.face().state == last.State && l.face().reason == last.Reason
	}
}

// retireOrphans says stopped of what an earlier agent published of containers
// that do not run any more, and deletes it where they are gone. A listing may be
// late with an end, never early; of a life that another agent published and that
// began after it, it knows nothing.
func (a *Agent) retireOrphans() {
	if a.present == nil {
		return
	}
	for id, found := range a.prior {
		runs, exists := a.present[id]
		_, gone := a.gone[id]
		switch {
		case gone:
			a.retireOrphan(id, found)
		case a.younger(found): // the next listing, or its events, will tell
		case runs: // its details are still to come
		case exists: // and so are this one's, but it is not to be sent to meanwhile
			a.publishEnded(found, reasonExited, "")
		default:
			a.retireOrphan(id, found)
		}
	}
}

// younger says whether a life that was found began after Docker was asked for
// the last listing. A start in the future is one by a clock that was set back
// since, and tells nothing.
func (a *Agent) younger(found []status.Found) bool {
	now := time.Now()
	return slices.ContainsFunc(found, func(f status.Found) bool {
		return f.Status.Started.After(a.listed) && !f.Status.Started.After(now)
	})
}

func (a *Agent) retireOrphan(id string, found []status.Found) {
	delete(a.prior, id)
	a.publishEnded(found, reasonGone, "not among the containers that this agent watches")
	a.retire(found)
}

func (a *Agent) publishEnded(found []status.Found, reason, detail string) {
	for i, f := range found {
		if f.Status.State == status.StateStopped {
			continue
		}
		s := &found[i].Status
		s.ID, s.State, s.Reason, s.Detail, s.Since = f.Key.ID, status.StateStopped, reason, detail, time.Now()
		a.publish.Set(f.Key, *s, s.Since)
	}
}

func (a *Agent) retire(found []status.Found) {
	for _, f := range found {
		a.publish.Retire(f.Key)
		a.log.Info("an earlier agent's status is of a container that is gone", zap.String("container", short(f.Key.ID)),
			zap.String("app", f.Key.App), zap.String("entrypoint", f.Key.Entrypoint))
	}
}
