package watcher

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"go.uber.org/zap"
)

// heard are the events that are asked for; HEALTHCHECK alone would make three
// exec_* events a run. Podman says died and remove for die and destroy.
var heard = []events.Action{ //nolint:gochecknoglobals // a constant list
	events.ActionStart, events.ActionKill, events.ActionDie, "died", events.ActionOOM, events.ActionPause, events.ActionUnPause,
	events.ActionRename, events.ActionDestroy, events.ActionRemove, events.ActionConnect, events.ActionDisconnect,
}

// answerTimeout bounds the wait for the beginning of the stream; settled is how
// long after it an answer that is no stream has shown itself as one.
const (
	answerTimeout = 5 * time.Second
	settled       = 100 * time.Millisecond
)

// maxWait bounds the back-off, so that all is right soon after Docker returns.
const maxWait = time.Second

// newBackOff paces what is tried again.
func newBackOff() *backoff.ExponentialBackOff {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 50*time.Millisecond, maxWait
	return wait
}

// replayed is how many events Docker keeps for those who ask for since (FACTS).
const replayed = 256

// subscription remembers how far the events have been heard. Docker replays what
// is not older than since by its clock: what happened at that moment, and where
// the clock was set back much that was heard long ago.
type subscription struct {
	since time.Time
	heard map[string]bool
	order []string // of heard, the oldest first
}

// follow keeps a subscription open until ctx ends, and asks for a listing each
// time it was opened: after it, so that nothing falls between the two.
func (w *Watcher) follow(ctx context.Context) {
	wait := newBackOff()
	// What came shortly before, too: Docker's listing lags behind ends, and knows no signals.
	sub := subscription{since: time.Now().Add(-lagMax), heard: map[string]bool{}}
	for failures := 0; ; failures++ {
		opened := time.Time{}
		err := w.followOnce(ctx, &sub, func() { opened = time.Now() })
		w.connected.Store(false)
		if !opened.IsZero() && time.Since(opened) > maxWait {
			wait.Reset()
			failures = 0
		}
		if ctx.Err() != nil {
			return
		}
		w.metrics.reconnects.Inc()
		if errors.Is(err, errRenew) {
			failures = -1
			continue
		}
		if failures%60 == 0 {
			w.log.Warn("Docker's events do not flow; known containers are probed on, and this goes on trying",
				zap.String("endpoint", w.docker.cfg.Endpoint), zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait.NextBackOff()):
		}
	}
}

func (w *Watcher) followOnce(ctx context.Context, sub *subscription, opened func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cli, err := w.docker.connect(ctx)
	if err != nil {
		return err
	}
	filter := filters.NewArgs(filters.Arg("type", string(events.ContainerEventType)), filters.Arg("type", string(events.NetworkEventType)))
	for _, action := range heard {
		filter.Add("event", string(action))
	}
	select {
	case <-w.renew: // this is the one that was asked for
	default:
	}
	patience := time.AfterFunc(answerTimeout, cancel)
	messages, errs := cli.Events(ctx, events.ListOptions{Since: stamp(sub.since), Filters: filter})
	nudge(w.listNow) // also if this failed: then a listing is all there is
	if !patience.Stop() {
		return fmt.Errorf("reading Docker's events at %q: no answer for %v", w.docker.cfg.Endpoint, answerTimeout)
	}
	opened()
	flowing := time.After(settled)
	for {
		select {
		case <-flowing:
			w.connected.Store(true)
		case m := <-messages:
			if sub.fresh(m) {
				w.metrics.events.Inc()
				w.hear(m)
			}
		case <-w.renew:
			return errRenew
		case err := <-errs:
			if err == nil {
				err = errors.New("the stream ended")
			}
			return fmt.Errorf("reading Docker's events at %q: %w", w.docker.cfg.Endpoint, w.docker.explain(err))
		}
	}
}

// errRenew ends a subscription that may be deaf.
var errRenew = errors.New("the stream is opened anew")

func (w *Watcher) askSubscription() { nudge(w.renew) }

// nudge wakes who waits for ch, now or next time.
func nudge(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

func stamp(t time.Time) string {
	return fmt.Sprintf("%d.%09d", t.Unix(), t.Nanosecond())
}

// fresh moves the subscription on; false for an event that was heard before.
func (s *subscription) fresh(m events.Message) bool {
	name := fmt.Sprint(m.TimeNano, m.Type, m.Action, m.Actor.ID, m.Actor.Attributes["container"])
	if s.heard[name] {
		return false
	}
	if len(s.order) == replayed {
		delete(s.heard, s.order[0])
		s.order = s.order[1:]
	}
	s.since, s.heard[name], s.order = time.Unix(0, m.TimeNano), true, append(s.order, name)
	return true
}

// hear files one event under its container. It never waits.
func (w *Watcher) hear(m events.Message) {
	if m.Type == events.NetworkEventType {
		if id := m.Actor.Attributes["container"]; id != "" {
			w.queue.add(id, func(wd *word) { wd.network = true })
		}
		return
	}
	at := time.Unix(0, m.TimeNano)
	w.queue.add(m.Actor.ID, func(wd *word) {
		wd.labels = m.Actor.Attributes
		wd.apply(m, at)
	})
}

func (wd *word) apply(m events.Message, at time.Time) {
	switch m.Action {
	case events.ActionStart:
		wd.started, wd.renewed, wd.refresh, wd.signals, wd.oom, wd.removed = true, true, true, nil, false, false
	case events.ActionKill:
		if n, err := strconv.Atoi(m.Actor.Attributes["signal"]); err == nil {
			wd.signals = wd.signals.with(n, at)
		}
	case events.ActionOOM:
		wd.oom = true
	case events.ActionDie, "died":
		code, err := strconv.Atoi(m.Actor.Attributes["exitCode"])
		_, wd.killed = wd.signals[syscall.SIGKILL]
		wd.died, wd.diedAt, wd.exit, wd.signals = true, at, Exit{Known: err == nil, Code: code, OOM: wd.oom}, nil
		wd.renewed = false
	case events.ActionDestroy, events.ActionRemove:
		wd.removed = true
	default:
		wd.refresh = true
	}
}
