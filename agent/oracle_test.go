package agent_test

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/watcher"
)

// subject is one container as it really is, and what may be believed of it: the
// oracle that the agent is held against.
type subject struct {
	c      watcher.Container
	lives  int
	exists bool
	alive  bool
	told   bool // the agent has heard of it
	fault  bool
	probes bool

	// Of this life.
	state    status.State
	reason   string
	passed   bool
	verdict  bool
	draining time.Time // until when, zero if not
	resumed  bool      // drained by an earlier agent's word alone

	found *status.Status // what the former agent published
}

func (s *subject) begin(now time.Time) {
	s.lives++
	s.exists, s.alive, s.told = true, true, true
	s.c.Started, s.c.Paused = now, false
	s.state, s.reason, s.passed, s.verdict, s.draining, s.resumed = status.StateStarting, "", false, false, time.Time{}, false
}

func (s *subject) probed() bool {
	return s.alive && s.probes && !s.fault && !s.c.Paused && s.c.Addr.IsValid()
}

// shown is what a reader is to see, if wished says that an operator drains it.
func (s *subject) shown(wished bool) (status.State, string) {
	if s.alive && s.state != status.StateDraining && (wished || s.resumed) {
		return status.StateDraining, "drain"
	}
	return s.state, s.reason
}

// facts sets the state that needs no verdict.
func (s *subject) facts(now time.Time) {
	s.resumed = s.resumed && s.probed()
	switch {
	case !s.alive:
	case s.state == status.StateDraining && (now.Before(s.draining) || s.probed()):
	case s.fault:
		s.state, s.reason = status.StateInvalid, "label"
	case s.c.Paused:
		s.state, s.reason = status.StatePaused, "paused"
	case !s.probes:
		s.state, s.reason, s.passed = status.StateHealthy, "", true
	case !s.c.Addr.IsValid():
		s.failed("no_address")
	}
}

func (s *subject) failed(reason string) {
	s.state, s.reason = status.StateStarting, reason
	if s.passed {
		s.state = status.StateUnhealthy
	}
}

func (s *subject) believe(pass bool, reason string, now time.Time) {
	s.verdict, s.resumed = true, false
	switch {
	case s.state == status.StateDraining && (!pass || now.Before(s.draining)):
	case pass:
		s.state, s.reason, s.passed = status.StateHealthy, "", true
	default:
		s.failed(reason)
	}
}

// adopt takes f for what was known when this agent began.
func (s *subject) adopt(now time.Time) {
	f := s.found
	if f == nil || !f.Started.Equal(s.c.Started) || f.State == status.StateStopped || f.State == "of_tomorrow" || !s.alive {
		return
	}
	was := slices.Contains([]status.State{status.StateHealthy, status.StateUnhealthy, status.StateDraining, status.StatePaused, status.StateLost}, f.State)
	s.passed = s.passed || was
	switch {
	case s.state == status.StateDraining:
	case !s.verdict && f.Reason == "drain":
		s.resumed = true
	case !s.verdict:
		s.state, s.reason = f.State, f.Reason
		s.draining = f.Since.Add(s.c.StopTimeout)
	case s.state == status.StateStarting:
		s.failed(s.reason)
	}
	s.facts(now)
}

// subjects are those that a random sequence acts on: with and without a check,
// and with a bad label.
func subjects(now time.Time) []*subject {
	var all []*subject
	for i, labels := range []map[string]string{probedLabels(), plainLabels(), {"eru.health.http.port": "x"}, probedLabels()} {
		c := box(fmt.Sprintf("c%d", i), labels)
		c.Name = fmt.Sprintf("svc_web_%d", i)
		s := &subject{c: c, exists: true, alive: true, state: status.StateStarting, fault: i == 2, probes: i == 0 || i == 3}
		s.c.Started = now.Add(-time.Hour)
		all = append(all, s)
	}
	return all
}

func (s *subject) key() status.Key {
	app, entrypoint := "svc", "web"
	if s.c.Name == "plain" {
		app, entrypoint = "plain", "plain"
	}
	return status.Key{App: app, Entrypoint: entrypoint, Node: "n1", ID: s.c.ID}
}

func (s *subject) rename() {
	if s.c.Name == "plain" {
		s.c.Name = "svc_web_" + s.c.ID[1:]
		return
	}
	s.c.Name = "plain"
}

func (s *subject) readdress() {
	if s.c.Addr.IsValid() {
		s.c.Addr, s.c.NoAddr = netip.Addr{}, "none"
		return
	}
	s.c.Addr, s.c.NoAddr = netip.MustParseAddr("172.17.0.9"), ""
}
