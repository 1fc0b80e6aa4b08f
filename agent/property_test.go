package agent_test

import (
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/projecteru2/eru-agent/healthcheck"
	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/watcher"
)

// step is one thing that happens, drawn before the sequence runs.
type step struct {
	what  string
	who   int
	pick  int // of epochs, codes and the like
	after time.Duration
}

func (s step) String() string {
	return fmt.Sprintf("%s(c%d, %d) after %s", s.what, s.who, s.pick, s.after)
}

func steps(t *rapid.T) []step {
	one := rapid.Custom(func(t *rapid.T) step {
		return step{
			what: rapid.SampledFrom([]string{
				"start", "start", "told", "told", "pause", "readdress", "rename", "stop", "exit", "exit", "code", "remove",
				"pass", "pass", "pass", "fail", "fail", "void", "stale", "listed", "adopt",
				"drain", "drain", "drain_node", "undrain", "undrain", "undrain_node",
			}).Draw(t, "what"),
			who:   rapid.IntRange(0, 3).Draw(t, "who"),
			pick:  rapid.IntRange(0, 7).Draw(t, "pick"),
			after: rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second, 4 * time.Second, 11 * time.Second}).Draw(t, "after"),
		}
	})
	return rapid.SliceOfN(one, 1, 60).Draw(t, "steps")
}

// drainedState stands for StateDraining by an operator's wish.
const drainedState = status.StateDraining + " by an operator"

// former draws what an earlier agent published of the containers: of the life
// that still goes on, of one before, under another name, or nothing.
func former(t *rapid.T) []step {
	one := rapid.Custom(func(t *rapid.T) step {
		return step{
			what: string(rapid.SampledFrom([]status.State{
				"", status.StateStarting, status.StateHealthy, status.StateUnhealthy, status.StateDraining, drainedState,
				status.StatePaused, status.StateStopped, status.StateLost, "of_tomorrow",
			}).Draw(t, "state")),
			pick: rapid.IntRange(0, 3).Draw(t, "kind"),
		}
	})
	return rapid.SliceOfN(one, 4, 4).Draw(t, "former")
}

// TestAgainstTheOracle drives random sequences of events, verdicts and
// adoption, and compares what etcd holds with what it must hold.
func TestAgainstTheOracle(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		before, sequence := former(rt), steps(rt)
		var faults []string
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, before)
			for _, s := range sequence {
				w.take(s)
			}
			w.take(step{what: "adopt"})
			w.take(step{what: "listed"})
			faults = w.faults()
		})
		if len(faults) > 0 {
			rt.Fatalf("former: %v\nsteps: %v\n%s", before, sequence, strings.Join(faults, "\n"))
		}
	})
}

// world is the containers, the agent, and who watches both.
type world struct {
	*rig
	all     []*subject
	found   []status.Found
	adopted bool
	epochs  []healthcheck.Result // former jobs
	wishes  map[string]status.Drain
	belief  sync.Mutex // for what the agent does by time alone

	mu     sync.Mutex
	wrong  []string
	killed map[string]bool // retired and not begun again
}

func newWorld(t *testing.T, before []step) *world {
	w := &world{rig: newRig(t, nodeConfig()), all: subjects(time.Now()), killed: map[string]bool{}, wishes: map[string]status.Drain{}}
	w.etcd.seen = w.judge
	for i, f := range before {
		s := w.all[i]
		if f.what == "" {
			continue
		}
		k, st := s.key(), status.Status{ID: s.c.ID, State: status.State(f.what), Started: s.c.Started, Since: time.Now().Add(-5 * time.Second).Round(0)}
		if st.State == drainedState {
			st.State, st.Reason, st.Detail = status.StateDraining, "drain", "by somebody"
		}
		switch f.pick {
		case 1:
			st.Started = st.Started.Add(-time.Hour)
		case 2:
			k.App = "other"
		case 3:
			st = status.Status{}
		}
		s.found = &st
		w.found = append(w.found, status.Found{Key: k, Status: st})
	}
	return w
}

func (w *world) fault(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrong = append(w.wrong, fmt.Sprintf(format, args...))
}

// judge looks at each change that a reader of etcd sees.
func (w *world) judge(k status.Key, was, now *status.Status, dropped bool) {
	w.belief.Lock()
	defer w.belief.Unlock()
	var s *subject
	for _, one := range w.all {
		if one.c.ID == k.ID {
			s = one
		}
	}
	switch {
	case now == nil && !dropped && was.State != status.StateStopped:
		w.fault("%s was deleted while %s", k.ID, was.State)
	case now == nil:
		return
	case w.killed[k.ID] && now.State != status.StateStopped:
		w.fault("%s is %s after its removal", k.ID, now.State)
	case now.State == status.StateHealthy && (!s.alive || s.c.Paused || s.fault || s.state != status.StateHealthy || w.drained(s) || s.resumed):
		w.fault("%s was said to be healthy; it is %s, alive %t, drained %t", k.ID, s.state, s.alive, w.drained(s))
	case now.State == status.StateStarting && !s.alive:
		w.fault("%s was said to be starting; it is dead", k.ID)
	case was != nil && was.Started.After(now.Started) && now.Reason != "gone":
		w.fault("%s went back to a former life", k.ID)
	case was != nil && was.State == now.State && was.Started.Equal(now.Started) && !was.Since.Equal(now.Since) && s.exists:
		w.fault("%s is %s since %s, then since %s", k.ID, now.State, was.Since, now.Since)
	case was != nil && was.State == now.State && was.Reason == now.Reason && was.Detail != now.Detail && now.State != status.StateStopped && now.Reason != "drain" && was.Detail != "" && was.Started.Equal(now.Started):
		w.fault("%s was written for another detail", k.ID)
	case was != nil && now.State == status.StateStarting && s.passed && was.Started.Equal(now.Started) && was.State != status.StateStopped && was.State != "of_tomorrow":
		w.fault("%s went from %s back to starting", k.ID, was.State)
	}
}

// tell sends what is known of a container that runs.
func (w *world) tell(s *subject) {
	s.told = true
	s.facts(time.Now())
	w.running(s.c)
}

func (w *world) take(st step) {
	now := time.Now().Add(st.after)
	w.belief.Lock()
	for _, s := range w.all {
		s.facts(now) // what time alone will have changed
	}
	w.belief.Unlock()
	elapse(st.after)
	s := w.all[st.who]
	switch st.what {
	case "adopt":
		w.takeOver()
	case "listed":
		w.list()
	case "start":
		if !s.alive {
			delete(w.killed, s.c.ID)
			s.begin(now)
			w.tell(s)
		}
	case "drain", "drain_node", "undrain", "undrain_node":
		w.wish(s, st, now)
	case "pass", "fail", "void", "stale":
		w.verdict(s, st, now)
	case "code":
		if s.exists && s.told && !s.alive {
			w.exited(s.c, watcher.Exit{Known: true, Code: st.pick, OOM: st.pick == 7})
		}
	case "remove":
		if s.exists && s.told && !s.alive {
			s.exists, s.told, s.found = false, false, nil
			w.killed[s.c.ID] = true
			w.removed(s.c.ID)
		}
	default:
		if s.alive {
			w.change(s, st, now)
		}
	}
}

// drained says whether an operator's wish for s is in force.
func (w *world) drained(s *subject) bool {
	own, ok := w.wishes[s.c.ID]
	node, all := w.wishes[status.WholeNode]
	return ok && !own.Over(time.Now()) || all && !node.Over(time.Now())
}

// wish is what an operator does; every second of his wishes has no end.
func (w *world) wish(s *subject, st step, now time.Time) {
	id := s.c.ID
	if strings.HasSuffix(st.what, "_node") {
		id = status.WholeNode
	}
	w.belief.Lock()
	delete(w.wishes, id)
	if strings.HasPrefix(st.what, "drain") {
		d := status.Drain{By: "ops", Reason: fmt.Sprint(st.pick)}
		if st.pick%2 == 0 {
			d.Until = now.Add(time.Duration(st.pick) * time.Second)
		}
		w.wishes[id] = d
	}
	w.belief.Unlock()
	w.drain(w.wishes)
}

// change is what happens to a container that runs.
func (w *world) change(s *subject, st step, now time.Time) {
	first := !s.told
	switch st.what {
	case "exit": // also of one that was never told of: it is dead when first seen
		s.alive, s.told, s.state, s.reason = false, true, status.StateStopped, "exited"
		w.exited(s.c, watcher.Exit{})
		return
	case "pause":
		s.c.Paused = !s.c.Paused
	case "readdress":
		s.readdress()
	case "rename":
		s.rename()
	case "stop":
		if s.told {
			s.state, s.reason, s.draining = status.StateDraining, "stop_signal", now.Add(s.c.StopTimeout)
			w.stopping(s.c, syscall.SIGTERM)
		}
		return
	}
	if first && w.adopted {
		s.adopt(now)
	}
	w.tell(s)
}

func (w *world) verdict(s *subject, st step, now time.Time) {
	job, ok := w.checks.job(s.c.ID)
	if ok != (s.told && s.probed()) {
		w.fault("%s: probed %t, want %t", s.c.ID, ok, s.probed())
	}
	r := healthcheck.Result{ID: s.c.ID, Epoch: job.Epoch, Verdict: healthcheck.Verdict{Pass: st.what == "pass", Reason: "timeout"}, Void: st.what == "void"}
	if st.what == "stale" {
		w.result(healthcheck.Result{ID: s.c.ID, Epoch: job.Epoch + uint64(st.pick) + 1, Verdict: healthcheck.Verdict{Pass: true}})
		for _, old := range w.epochs {
			if old.ID == s.c.ID && old.Epoch != job.Epoch {
				w.result(healthcheck.Result{ID: old.ID, Epoch: old.Epoch, Verdict: healthcheck.Verdict{Pass: st.pick%2 == 0, Reason: "timeout"}})
			}
		}
		return
	}
	if !ok {
		return
	}
	w.epochs = append(w.epochs, healthcheck.Result{ID: r.ID, Epoch: r.Epoch})
	if !r.Void {
		s.believe(r.Verdict.Pass, "timeout", now)
	}
	w.result(r)
}

func (w *world) takeOver() {
	if w.adopted {
		return
	}
	w.adopted = true
	for _, s := range w.all {
		if s.told {
			s.adopt(time.Now())
		}
	}
	w.adopt(w.found...)
	synctest.Wait()
}

func (w *world) list() {
	var ids []string
	for _, s := range w.all {
		if s.exists {
			ids = append(ids, s.c.ID)
		}
	}
	w.listed(ids...)
}

// faults compares the end with the oracle.
func (w *world) faults() []string {
	holds := w.etcd.content()
	census := map[status.State]int{}
	for _, s := range w.all {
		got, ok := holds[s.key()]
		state, reason := s.shown(w.drained(s))
		if s.told {
			census[state]++
		}
		switch {
		case !s.told && !s.exists && ok:
			w.fault("%s is gone, and etcd holds %s", s.c.ID, got.State)
		case s.told && (!ok || got.State != state || !got.Started.Equal(s.c.Started)):
			w.fault("%s: etcd holds %q of %s, want %q of %s", s.c.ID, got.State, got.Started, state, s.c.Started)
		case s.told && s.alive && got.Reason != reason:
			w.fault("%s is %s for %q, want %q", s.c.ID, state, got.Reason, reason)
		}
		for k := range holds {
			if k.ID == s.c.ID && k != s.key() && s.told {
				w.fault("%s stands under %v, too", s.c.ID, k)
			}
		}
	}
	w.balance(census)
	return w.wrong
}

// balance compares the gauge with a census, and looks for series of services
// that are gone.
func (w *world) balance(census map[status.State]int) {
	families, err := w.reg.Gather()
	if err != nil {
		w.fault("%v", err)
	}
	apps := map[string]bool{}
	for _, s := range w.all {
		if s.told {
			apps[s.key().App] = true
		}
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "state" && int(m.GetGauge().GetValue()) != census[status.State(l.GetValue())] {
					w.fault("gauge %s is %v, want %d", l.GetValue(), m.GetGauge().GetValue(), census[status.State(l.GetValue())])
				}
				if l.GetName() == "app" && !apps[l.GetValue()] {
					w.fault("a series of %s is left", l.GetValue())
				}
			}
		}
	}
}
