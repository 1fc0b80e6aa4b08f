package agent

import (
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/projecteru2/eru-agent/foreign"
	"github.com/projecteru2/eru-agent/healthcheck"
	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/watcher"
)

// running acts on a container that runs: a new one, a new life, or one of which
// a fact has changed.
func (a *Agent) running(e watcher.Event) {
	l, ok := a.lives[e.ID]
	if !ok || !l.c.Started.Equal(e.Container.Started) || !l.runs() {
		l = a.begin(e.Container, e.At, status.StateStarting)
		a.care(l)
		a.restate(l, e.At)
		return
	}
	was := *l
	l.c = e.Container
	if l.c.Name != was.c.Name {
		a.refile(l)
	}
	a.describe(l)
	if l.probed() != was.probed() || l.c.Addr != was.c.Addr {
		a.care(l)
	}
	a.restate(l, e.At)
}

// begin starts a life in state, which is StateStopped for one that ended before
// it was seen. What an earlier agent published of the same life is taken over.
// Nothing is published yet.
func (a *Agent) begin(c watcher.Container, at time.Time, state status.State) *life {
	l := &life{line: a.memory.Line(c.ID), c: c, status: status.Status{ID: c.ID, Started: c.Started, Since: at, State: state}}
	a.examine(l)
	a.describe(l)
	a.takeOver(l, a.prior[c.ID])
	delete(a.prior, c.ID)
	former, ok := a.lives[c.ID]
	a.lives[c.ID] = l
	a.metrics.born(l)
	if ok {
		a.metrics.died(former, a.lives)
		former.leave()
	}
	if ok && former.key != l.key {
		a.publish.Drop(former.key)
	}
	if l.fault != nil {
		a.log.Warn("a container's label cannot be understood; it is not healthy until that is mended",
			zap.String("name", l.status.Name), zap.Error(l.fault))
	}
	return l
}

// examine reads identity and check from the labels.
func (a *Agent) examine(l *life) {
	var err error
	l.key, err = Identify(l.c.Labels, l.c.Name, a.cfg.Node, l.c.ID)
	l.check, l.fault = a.parser.Parse(l.c.Labels)
	l.asks = nil
	if err != nil {
		l.fault = err
	}
}

// refile reads a container's new name, and moves its status if that is another
// identity.
func (a *Agent) refile(l *life) {
	was := *l
	a.examine(l)
	a.understand(l)
	if l.key == was.key {
		return
	}
	a.metrics.born(l)
	a.metrics.died(&was, a.lives)
	a.publish.Drop(was.key)
}

// care puts the life under the care of the checks, or takes it away from them.
func (a *Agent) care(l *life) {
	if !l.probed() {
		l.epoch = 0
		a.checks.Remove(l.c.ID)
		l.leave()
		a.armDrains()
		return
	}
	a.epoch++
	l.epoch = a.epoch
	a.checks.Set(healthcheck.Job{
		ID: l.c.ID, Epoch: l.epoch, Check: l.check, Target: l.target(), Passed: l.judged(),
	})
}

// target is where the life is asked. It enters its network namespace, if the
// check wants that, until leave.
func (l *life) target() healthcheck.Target {
	if !l.check.Inside() {
		l.leave()
	} else if l.inside == nil {
		l.inside = healthcheck.NewNamespace(l.c.Namespace)
	}
	return healthcheck.Target{Addr: l.check.At(l.c.Addr), Inside: l.inside}
}

// leave lets go of the namespace. Nobody asks the life any more.
func (l *life) leave() {
	_ = l.inside.Close() // a descriptor that was only read has nothing to lose
	l.inside = nil
}

func (a *Agent) stopping(e watcher.Event) {
	l, ok := a.lives[e.ID]
	if !ok || !l.c.Started.Equal(e.Container.Started) || !l.runs() {
		return
	}
	a.transit(l, e.At, func() { l.drain(unix.SignalName(e.Signal), e.At) })
	a.armDrains()
}

// outlived ends the draining of containers that nobody probes and that have
// outlived their stop; the others come back when they pass.
func (a *Agent) outlived(now time.Time) {
	for _, l := range a.lives {
		if l.waitsOut() && !now.Before(l.drained) {
			a.transit(l, now, func() { l.settle(now) })
		}
	}
	a.armDrains()
}

func (a *Agent) armDrains() {
	var next time.Time
	for _, l := range a.lives {
		if l.waitsOut() && (next.IsZero() || l.drained.Before(next)) {
			next = l.drained
		}
	}
	if !next.IsZero() {
		a.drains.Reset(time.Until(next))
	}
}

func (a *Agent) exited(e watcher.Event) {
	l, ok := a.lives[e.ID]
	if !ok || !l.c.Started.Equal(e.Container.Started) {
		l = a.begin(e.Container, e.At, status.StateStopped)
	}
	a.transit(l, e.At, func() { l.end(e.Exit, e.At) })
	l.epoch = 0
	a.checks.Remove(e.ID)
	l.leave()
	if name := e.Container.Name; l.c.Name != name {
		l.c.Name, l.status.Name = name, foreign.Text(name)
		a.refile(l)
		a.say(l, e.At)
	}
}

// removed ends what is known of a container, its key and its series.
func (a *Agent) removed(e watcher.Event) {
	id := e.ID
	if l, ok := a.lives[id]; ok {
		a.memory.Remove(id) // first, so that it knows whose key is deleted
		a.publish.Retire(l.key)
		a.checks.Remove(id)
		l.leave()
		delete(a.lives, id)
		a.metrics.died(l, a.lives)
	}
	a.gone[id] = e.At
	if found, ok := a.prior[id]; ok {
		a.retireOrphan(id, found)
	}
}
