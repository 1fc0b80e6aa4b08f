package monitor

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/projecteru2/eru-agent/foreign"
	"github.com/projecteru2/eru-agent/healthcheck"
	"github.com/projecteru2/eru-agent/status"
)

// ward is a node that is silent.
type ward struct {
	node  string
	epoch uint64 // of what is known of it; older outcomes say nothing
	note  status.Silence
	noted bool      // the note stands in etcd, or is on its way there
	due   time.Time // of the next inquiry

	asking  bool // an inquiry is under way
	writing bool // a write is

	remains  status.Remains // zero before it was read
	read     bool           // the statuses were
	patients map[status.Key]*patient
}

// patient is a container of a silent node.
type patient struct {
	ward    *ward
	entry   status.Entry   // as it stands in etcd
	next    *status.Status // what the monitor wants it to be; nil: as it stands
	check   healthcheck.Check
	target  healthcheck.Target
	places  []netip.AddrPort // where it is asked from here; none: it cannot be reached from elsewhere
	job     string           // its name among the checks, "" while it is not probed
	suspect *healthcheck.Verdict
}

// status is what is said of it, or about to be.
func (p *patient) status() status.Status {
	if p.next != nil {
		return *p.next
	}
	return p.entry.Status
}

// asked says whether the monitor's own verdict decides about it: it was in
// service when its agent fell silent.
func (p *patient) asked() bool {
	s := p.status()
	return s.State == status.StateHealthy || s.State == status.StateUnhealthy && s.Reason == status.ReasonSurrogate
}

// losable says whether it goes down with its host.
func (p *patient) losable() bool {
	s := p.status().State
	return s != status.StateStopped && s != status.StateLost
}

// reached says whether any of its places answered.
func (p *patient) reached(answers map[netip.AddrPort]bool) bool {
	for _, place := range p.places {
		if answers[place] {
			return true
		}
	}
	return false
}

// admit takes in the containers that were read.
func (w *ward) admit(patients map[status.Key]*patient) {
	w.patients, w.read = patients, true
	for _, p := range patients {
		p.ward = w
	}
}

// idle says that there is nothing left which the host's silence could take down.
func (w *ward) idle() bool {
	for _, p := range w.patients {
		if p.losable() {
			return false
		}
	}
	return true
}

// judge decides what an answered inquiry means for each patient: it becomes lost
// or unhealthy, or it is returned, because it is to be probed from now on.
func (w *ward) judge(a answer, by string, at time.Time) []*patient {
	hostAnswers := a.hostAnswers(address(w.remains))
	w.note.Host = status.HostAnswers
	if !hostAnswers {
		w.note.Host = status.HostSilent
	}
	var probed []*patient
	for _, p := range w.patients {
		suspect := p.suspect
		p.suspect = nil
		reached := p.reached(a.answers)
		switch {
		case !hostAnswers && !reached:
			p.lose(by, at)
		case suspect != nil:
			p.fail(*suspect, by, at)
		case reached && p.asked():
			probed = append(probed, p)
		}
	}
	return probed
}

// turn wants the patient to be in another state.
func (p *patient) turn(state status.State, reason, detail string, at time.Time) {
	s := p.status()
	s.State, s.Reason, s.Detail, s.Since = state, reason, foreign.Text(detail), at
	p.next = &s
}

// lose is for one that goes down with its host.
func (p *patient) lose(by string, at time.Time) {
	if !p.losable() {
		return
	}
	w := p.ward
	p.turn(status.StateLost, status.ReasonNodeLost, fmt.Sprintf(
		"seen from node %s at %s: neither host %s nor the container answers; the agent there is silent since %s",
		by, at.UTC().Format(time.RFC3339), w.remains.Owner.Address, w.note.Since.Format(time.RFC3339)), at)
}

// fail is the word of a failed probe, if the container was in service.
func (p *patient) fail(v healthcheck.Verdict, by string, at time.Time) {
	if p.status().State != status.StateHealthy {
		return
	}
	p.turn(status.StateUnhealthy, status.ReasonSurrogate, fmt.Sprintf(
		"asked from node %s, because the agent there is silent: %s: %s (%s)", by, v.Probe, v.Detail, v.Reason), at)
}

// pass brings back what the monitor itself took out of service.
func (p *patient) pass(by string, at time.Time) {
	if s := p.status(); s.State == status.StateUnhealthy && s.Reason == status.ReasonSurrogate {
		p.turn(status.StateHealthy, status.ReasonSurrogate, "asked from node "+by+", because the agent there is silent", at)
	}
}
