// Package agent decides. It owns what each container's status is: one goroutine
// orders what happens to containers (package watcher), what probes find out
// (package healthcheck) and what an earlier agent published (package status),
// and says what etcd shall hold. It leaves to those packages how each is done.
package agent

import (
	"context"
	"maps"
	"net/netip"
	"time"

	"go.uber.org/zap"

	"github.com/projecteru2/eru-agent/healthcheck"
	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/trail"
	"github.com/projecteru2/eru-agent/watcher"
)

// Checks probes containers: *healthcheck.Runner.
type Checks interface {
	Set(healthcheck.Job)
	Remove(id string)
	Results() <-chan healthcheck.Result
}

// Publisher brings etcd to what is wanted: *status.Writer.
type Publisher interface {
	Set(k status.Key, s status.Status, detected time.Time)
	Retire(k status.Key)
	Drop(k status.Key)
}

// Config is what the agent has to know of its node.
type Config struct {
	Node      string
	NodeIP    netip.Addr // where other hosts reach what the node publishes; may be invalid
	Extension bool       // publish the labels
}

// Agent owns the lives of this node's containers.
type Agent struct {
	cfg     Config
	events  <-chan watcher.Event
	checks  Checks
	publish Publisher
	parser  *healthcheck.Parser
	memory  *trail.Trail
	log     *zap.Logger
	metrics *Metrics
	calls   chan func()
	others  map[string]func(healthcheck.Result) // who else is under care, by ID

	// Of Run's goroutine alone.
	lives   map[string]*life          // by container ID
	prior   map[string][]status.Found // by container ID: what no life has taken over yet
	present map[string]bool           // what Docker listed last, true for what runs; nil before
	listed  time.Time                 // when it was asked for that
	gone    map[string]time.Time      // what was removed since then, and when
	epoch   uint64
	synced  bool           // all details of the first listing have come
	unseen  map[*life]bool // of those, whose first verdict has not
	drains  *time.Timer
	wishes  wishes
}

// New returns an Agent that hears events, speaks to checks and publish, and tells
// memory.
func New(cfg Config, events <-chan watcher.Event, checks Checks, publish Publisher,
	parser *healthcheck.Parser, memory *trail.Trail, log *zap.Logger, metrics *Metrics,
) *Agent {
	drains := time.NewTimer(time.Hour)
	drains.Stop()
	return &Agent{
		cfg: cfg, events: events, checks: checks, publish: publish, parser: parser, memory: memory, log: log, metrics: metrics,
		calls: make(chan func()), others: map[string]func(healthcheck.Result){}, drains: drains, wishes: newWishes(),
		lives: map[string]*life{}, prior: map[string][]status.Found{}, gone: map[string]time.Time{}, unseen: map[*life]bool{},
	}
}

// Divert has the verdicts on id, which is no container's, told to take, on Run's
// goroutine. It has to be called before Run.
func (a *Agent) Divert(id string, take func(healthcheck.Result)) { a.others[id] = take }

// Run orders everything until ctx ends, then returns nil. Statuses stay in etcd
// as they are.
func (a *Agent) Run(ctx context.Context) error {
	defer a.drains.Stop()
	defer a.wishes.ends.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-a.events:
			a.event(e)
		case r := <-a.checks.Results():
			a.verdict(r)
		case call := <-a.calls:
			call()
		case <-a.drains.C:
			a.outlived(time.Now())
		case <-a.wishes.ends.C:
			a.reconsider()
		}
	}
}

// do runs call on the owning goroutine and waits for its end, or for ctx's.
func (a *Agent) do(ctx context.Context, call func()) error {
	done := make(chan struct{})
	select {
	case a.calls <- func() { defer close(done); call() }:
		<-done
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Adopt takes over what an earlier agent published; the publisher calls it
// before it writes anything. It waits for Drain to have been called.
func (a *Agent) Adopt(ctx context.Context, found []status.Found) error {
	select {
	case <-a.wishes.known:
	case <-ctx.Done():
		return ctx.Err()
	}
	return a.do(ctx, func() { a.adopt(found) })
}

// Alive returns nil if the agent takes a question before ctx ends.
func (a *Agent) Alive(ctx context.Context) error { return a.do(ctx, func() {}) }

// Containers returns the status of each container of ours, without extension.
func (a *Agent) Containers(ctx context.Context) ([]status.Entry, error) {
	var list []status.Entry
	err := a.do(ctx, func() {
		for _, l := range a.lives {
			s := l.published()
			s.Extension, s.Running, s.Healthy = "", s.State.Running(), s.State == status.StateHealthy
			list = append(list, status.Entry{Key: l.key, Status: s})
		}
	})
	return list, err
}

// Reparse reads all checks again with another parser, after its defaults or
// limits have changed.
func (a *Agent) Reparse(ctx context.Context, parser *healthcheck.Parser) error {
	return a.do(ctx, func() {
		a.parser = parser
		for _, l := range a.lives {
			if l.runs() {
				a.examine(l)
				a.describe(l)
				a.care(l)
				a.restate(l, time.Now())
			}
		}
	})
}

// event acts on what happened to a container.
func (a *Agent) event(e watcher.Event) {
	switch e.Kind {
	case watcher.Running:
		a.running(e)
	case watcher.Stopping:
		a.stopping(e)
	case watcher.Exited:
		a.exited(e)
	case watcher.Removed:
		a.removed(e)
	case watcher.Listed:
		a.present, a.listed = e.Present, e.At
		maps.DeleteFunc(a.gone, func(_ string, at time.Time) bool { return at.Before(e.At) })
		a.retireOrphans()
	case watcher.Synced:
		a.beginFirstPass()
		a.lookForIdle()
	}
	a.advanceFirstPass()
}

// verdict acts on what a probe found out, if it still concerns anybody.
func (a *Agent) verdict(r healthcheck.Result) {
	why := unfit(r)
	if take, ok := a.others[r.ID]; ok {
		if why != "" {
			a.metrics.dropped.WithLabelValues(why).Inc()
		}
		take(r)
		return
	}
	l, ok := a.lives[r.ID]
	if !ok || l.epoch != r.Epoch {
		a.metrics.dropped.WithLabelValues("stale").Inc()
		return
	}
	l.asked = true
	defer a.advanceFirstPass()
	if why != "" {
		a.doubt(l, r, why)
		return
	}
	l.remember(r, "")
	if said := a.log.Check(zap.DebugLevel, "verdict"); said != nil { // asked first: the fields of one that nobody reads cost memory
		said.Write(zap.String("container", l.status.Name), zap.Bool("pass", r.Verdict.Pass),
			zap.String("reason", string(r.Verdict.Reason)), zap.Duration("took", r.Verdict.Timings.Total))
	}
	l.verified = r.At
	a.transit(l, r.At, func() { l.judge(r.Verdict, r.At) })
}

// unfit says why the agent was not fit to measure, "" if it was.
func unfit(r healthcheck.Result) string {
	switch {
	case !r.Void:
		return ""
	case r.Verdict.Reason == healthcheck.ReasonAgent:
		return "own_fault"
	default:
		return "starved"
	}
}

func (a *Agent) doubt(l *life, r healthcheck.Result, why string) {
	l.remember(r, why)
	a.metrics.dropped.WithLabelValues(why).Inc()
	a.log.Warn("a verdict is dropped, because the agent itself was not fit to measure",
		zap.String("why", why), zap.String("container", l.status.Name), zap.String("detail", r.Verdict.Detail))
}

// transit lets change alter l's state and publishes it if it did.
func (a *Agent) transit(l *life, at time.Time, change func()) {
	was := l.face()
	change()
	a.heed(l, was)
	if now := l.face(); was.state != now.state || was.reason != now.reason || was.detail != now.detail {
		a.say(l, at) // the log can wait
	}
	a.note(l, was.state)
}

// restate publishes l's facts, and the state that follows from them; whether
// that is news is the publisher's to find.
func (a *Agent) restate(l *life, at time.Time) {
	was := l.face()
	l.settle(at)
	a.heed(l, was)
	a.say(l, at)
	a.note(l, was.state)
}

// note counts and logs a change of state.
func (a *Agent) note(l *life, was status.State) {
	if now := l.face(); was != now.state {
		a.metrics.moved(l, was)
		a.log.Info("transition", zap.String("app", l.key.App), zap.String("entrypoint", l.key.Entrypoint),
			zap.String("name", l.status.Name), zap.String("container", short(l.key.ID)),
			zap.String("from", string(was)), zap.String("to", string(now.state)),
			zap.String("reason", now.reason), zap.String("detail", now.detail))
	}
}

func short(id string) string { return id[:min(len(id), 12)] }
