package agent

import (
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
	was := l.status.State
	a.takeOver(l, found)
	a.metrics.shift(was, l.status.State)
	if !l.verified && l.status.State.Running() {
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
	}
}

// publishEnded says stopped of containers that Docker lists and that do not run.
// A listing may be late with an end, never early.
func (a *Agent) publishEnded(found []status.Found) {
	for i, f := range found {
		if f.Status.State == status.StateStopped {
			continue
		}
		s := &found[i].Status
		s.ID, s.State, s.Reason, s.Detail, s.Since = f.Key.ID, status.StateStopped, reasonExited, "", time.Now()
		a.publish.Set(f.Key, *s, s.Since)
	}
}

// retireOrphans deletes what an earlier agent published of containers that are
// gone, each first stopped.
func (a *Agent) retireOrphans() {
	if a.present == nil {
		return
	}
	for id, found := range a.prior {
		runs, exists := a.present[id]
		if runs {
			continue // its details are still to come
		}
		if exists {
			a.publishEnded(found)
			continue // and so are this one's, but it is not to be sent to meanwhile
		}
		delete(a.prior, id)
		for _, f := range found {
			if s := f.Status; s.State != status.StateStopped {
				s.ID, s.State, s.Reason, s.Detail, s.Since = id, status.StateStopped, reasonGone, "not among the containers that this agent watches", time.Now()
				a.publish.Set(f.Key, s, s.Since)
			}
			a.publish.Retire(f.Key)
			a.log.Info("an earlier agent's status is of a container that is gone", zap.String("container", short(id)),
				zap.String("app", f.Key.App), zap.String("entrypoint", f.Key.Entrypoint))
		}
	}
}
