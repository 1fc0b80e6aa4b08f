package agent

import (
	"time"

	"github.com/projecteru2/eru-agent/status"
)

// heed puts the wish that is in force, or "" for none, into the place of the
// one before. One that an earlier agent has heeded holds until this one's first
// verdict: what the probes say of the container is not known yet.
func (l *life) heed(wish string, was face, now time.Time) {
	if l.resumed && (!l.verified.IsZero() || !l.probed()) {
		l.resumed = false
	}
	s := &l.status
	switch {
	case wish == "" && l.resumed:
		return
	case l.wish == "" && wish != "":
		l.wished = now
	case l.wish != "" && wish == "" && l.runs():
		s.Since = now
		if s.State == status.StateDraining {
			s.Since = was.since
		}
	}
	l.wish = wish
	if was.state == status.StateDraining && was.since.Before(l.wished) {
		l.wished = was.since // for whatever reason it has drained until now
	}
}

// face is what others see of a life's state.
type face struct {
	state          status.State
	reason, detail string
	since          time.Time
}

// face ranks what is known of a life. Its end is above everything. Then comes a
// stop signal, because it says that the end is near; then an operator's wish,
// which is above all that Docker, the labels and the probes say of a container
// that runs: they would let a proxy keep it in a panic.
func (l *life) face() face {
	s := &l.status
	own := face{s.State, s.Reason, s.Detail, s.Since}
	switch {
	case l.wish == "" || !l.runs():
	case s.State == status.StateDraining:
		if l.wished.Before(own.since) {
			own.since = l.wished
		}
	default:
		return face{status.StateDraining, reasonDrain, l.wish, l.wished}
	}
	return own
}

// published is l's status as others see it.
func (l *life) published() status.Status {
	s, f := l.status, l.face()
	s.State, s.Reason, s.Detail, s.Since = f.state, f.reason, f.detail, f.since
	return s
}
