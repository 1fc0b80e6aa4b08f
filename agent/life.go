package agent

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/projecteru2/eru-agent/foreign"
	"github.com/projecteru2/eru-agent/healthcheck"
	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/trail"
	"github.com/projecteru2/eru-agent/watcher"
)

// Reasons that do not come from a probe; those are healthcheck's.
const (
	reasonNoAddress  = "no_address"  // this node cannot reach the container
	reasonLabel      = "label"       // a label cannot be understood
	reasonStopSignal = "stop_signal" // it was asked to stop
	reasonDrain      = "drain"       // an operator's wish
	reasonPaused     = "paused"
	reasonExited     = "exited"
	reasonOOM        = "oom"
	reasonGone       = "gone" // it disappeared while no agent was there
)

// life is one life of one container, from a start to an exit.
type life struct {
	key      status.Key
	c        watcher.Container
	check    healthcheck.Check
	asks     *asks  // nil: the check is new
	fault    error  // a label that cannot be understood
	epoch    uint64 // of what is being probed; 0 while nothing is
	status   status.Status
	asked    bool      // this agent has probed it
	verified time.Time // its last verdict; zero before the first
	passed   bool      // it has been healthy, as far as any agent knows
	drained  time.Time // until when its stop may take

	line      *trail.Line
	said      face   // what the line knows to be published
	step      uint64 // and the number of that
	inherited bool   // an earlier agent had published it

	inside *healthcheck.Namespace // nil unless it is asked from inside

	wish    string    // the operator's drain that is in force, in words; "" for none
	wished  time.Time // since when one is
	resumed bool      // by an earlier agent's word alone
}

// probed says whether the state depends on probes.
func (l *life) probed() bool {
	return l.fault == nil && len(l.check.Probes) > 0 && !l.c.Paused && l.check.At(l.c.Addr).IsValid() && l.runs()
}

// runs says whether it has a process here. What the monitor calls lost may.
func (l *life) runs() bool { return l.status.State != status.StateStopped }

// judged says whether the state is the outcome of a probe, so that the next one
// confirms it and need not be at once. The monitor's verdict is not this agent's.
func (l *life) judged() bool {
	return judged(l.status.State) && l.status.Reason != status.ReasonSurrogate
}

func judged(s status.State) bool { return s == status.StateHealthy || s == status.StateUnhealthy }

// waitsOut says whether only time ends its draining, because nobody probes it.
func (l *life) waitsOut() bool { return l.status.State == status.StateDraining && !l.probed() }

// resume continues what an earlier agent published of this life, so that it
// never passes through starting again. What this agent has learnt itself stays,
// unless the earlier one has learnt another thing since: it may have been the
// only one who could write for a while.
func (l *life) resume(was status.Status, now time.Time) {
	s := &l.status
	switch was.State {
	case status.StateHealthy, status.StateUnhealthy, status.StateDraining, status.StatePaused, status.StateLost:
		l.passed = true // of a lost one nobody knows; it must not pass through starting
	case status.StateStarting, status.StateInvalid, status.StateStopped:
	default:
		return // of a version that knows more states
	}
	if was.State == status.StateDraining {
		l.wished = was.Since
	}
	switch drained := was.State == status.StateDraining && was.Reason == reasonDrain; {
	case s.State == status.StateStopped:
		if len(s.Networks) == 0 { // Docker has forgotten them
			s.Networks, s.Endpoints, s.Check = was.Networks, was.Endpoints, was.Check
		}
	case was.State == status.StateStopped, s.State == status.StateDraining:
	case drained && l.verified.IsZero():
		l.resumed, l.wish = true, cmp.Or(foreign.Text(was.Detail), reasonDrain)
	case l.verified.IsZero(), judged(was.State) && was.State != s.State && was.Since.After(l.verified):
		l.verified = time.Time{}
		s.State, s.Reason, s.Detail = was.State, was.Reason, foreign.Text(was.Detail)
		l.drained = l.stopsBy(notAfter(was.Since, now))
	case s.State == status.StateStarting:
		l.fail(s.Reason, s.Detail, s.Since)
	}
	if s.State == was.State {
		s.Since = was.Since
	}
}

// notAfter is t, or now where the clock was set back since t was written.
func notAfter(t, now time.Time) time.Time {
	if t.After(now) {
		return now
	}
	return t
}

// enter changes the state, its reason, or what the detail is about. Other words
// about the same are no change: they must not be written to etcd at each probe.
func (l *life) enter(state status.State, reason, detail string, at time.Time) {
	s, detail := &l.status, foreign.Text(detail)
	if s.State == state && s.Reason == reason && topic(reason, s.Detail) == topic(reason, detail) {
		return
	}
	if s.State != state {
		s.Since = at
	}
	s.State, s.Reason, s.Detail = state, reason, detail
	l.passed = l.passed || state == status.StateHealthy
}

// topic is what the detail of a verdict is about: the probe, and of a wrong code
// the code. Other details have none.
func topic(reason, detail string) string {
	about, _, found := strings.Cut(detail, ": ")
	switch {
	case !found:
		return ""
	case reason == string(healthcheck.ReasonHTTPCode):
		return detail
	default:
		return about
	}
}

// settle puts the life into the state that follows from facts alone, without a
// probe.
func (l *life) settle(at time.Time) {
	s := l.status.State
	switch {
	case !l.runs():
	case s == status.StateDraining && at.Before(l.drained):
	case l.fault != nil:
		l.enter(status.StateInvalid, reasonLabel, l.fault.Error(), at)
	case l.c.Paused:
		l.enter(status.StatePaused, reasonPaused, "paused by Docker", at)
	case len(l.check.Probes) == 0:
		l.enter(status.StateHealthy, "", "", at)
	case !l.check.At(l.c.Addr).IsValid():
		l.fail(reasonNoAddress, l.c.NoAddr, at)
	case s == status.StateInvalid && l.status.Reason != string(healthcheck.ReasonCapability):
		l.passed = false
		l.enter(status.StateStarting, "", "", at)
	}
}

// judge acts on the verdict of this life's probes.
func (l *life) judge(v healthcheck.Verdict, at time.Time) {
	switch {
	case l.status.State == status.StateDraining && (!v.Pass || at.Before(l.drained)):
		// It keeps draining: a pass counts only when it has outlived its stop.
	case v.Pass:
		l.enter(status.StateHealthy, "", "", at)
	case v.Reason == healthcheck.ReasonCapability:
		l.enter(status.StateInvalid, string(v.Reason), v.Detail, at)
	default:
		detail := v.Detail
		if v.Probe != "" {
			detail = foreign.Within(v.Probe, maxProbeName) + ": " + detail
		}
		l.fail(string(v.Reason), detail, at)
	}
}

// maxProbeName is how much of a detail goes to the name of the probe, in bytes: the
// path in it may be as long as a label.
const maxProbeName = 100

// fail is unhealthy for one that has passed, and no change of state for one
// that has not.
func (l *life) fail(reason, detail string, at time.Time) {
	if !l.passed {
		l.enter(status.StateStarting, reason, detail, at)
		return
	}
	l.enter(status.StateUnhealthy, reason, detail, at)
}

// drain begins when the container was asked to stop.
func (l *life) drain(signal string, at time.Time) {
	l.drained = l.stopsBy(at)
	l.enter(status.StateDraining, reasonStopSignal, signal, at)
}

// leastDrain is how long a container that is killed at once may still be seen.
const leastDrain = time.Second

// stopsBy is when a container that was asked to stop at asked has outlived it.
func (l *life) stopsBy(asked time.Time) time.Time {
	if l.c.StopTimeout < 0 {
		return asked.AddDate(100, 0, 0) // Docker waits for ever
	}
	return asked.Add(max(l.c.StopTimeout, leastDrain))
}

// end is told at least once, and again when Docker's exit code is known.
func (l *life) end(exit watcher.Exit, at time.Time) {
	reason, detail := reasonExited, ""
	if exit.Known {
		detail = fmt.Sprintf("exit code %d", exit.Code)
		if exit.Code > 128 && unix.SignalName(unix.Signal(exit.Code-128)) != "" {
			detail += " (" + unix.SignalName(unix.Signal(exit.Code-128)) + ")"
		}
	}
	if exit.OOM {
		reason = reasonOOM
	}
	l.enter(status.StateStopped, reason, detail, at)
	if exit.Known {
		l.status.Detail = detail
	}
}
