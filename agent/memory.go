package agent

import (
	"net/netip"
	"slices"
	"time"

	"github.com/projecteru2/eru-agent/foreign"
	"github.com/projecteru2/eru-agent/healthcheck"
	"github.com/projecteru2/eru-agent/trail"
)

// say has l published as it is, and remembered if that is news.
func (a *Agent) say(l *life, at time.Time) {
	if now := l.face(); now.state != l.said.state || now.reason != l.said.reason || now.detail != l.said.detail {
		l.step = l.line.Stepped(trail.Step{
			From: string(l.said.state), To: string(now.state), Reason: now.reason, Detail: now.detail, Detected: at, Inherited: l.inherited,
		})
		l.said = now
	}
	l.inherited = false
	s := l.published()
	s.Step = l.step
	a.publish.Set(l.key, s, at)
}

// remember notes how probes went; void is why that was not believed, "" if it was.
func (l *life) remember(r healthcheck.Result, void string) {
	v := r.Verdict
	reason := string(v.Reason)
	if void != "" {
		reason = void
	}
	t := v.Timings
	l.line.Probed(trail.Verdict{
		Probe: trail.Probe{At: r.At, Pass: v.Pass, Reason: reason, Void: void != "",
			Phases: trail.Phases{Connect: t.Connect, TLS: t.TLS, Write: t.Write, FirstByte: t.FirstByte, Total: t.Total}},
		Name: foreign.Within(v.Probe, maxProbeName), Detail: foreign.Text(v.Detail),
	})
}

// understand tells l's line how the container is understood now.
func (a *Agent) understand(l *life) {
	c, check, fault, parser, endpoints := l.c, l.check, l.fault, a.parser, l.status.Endpoints
	l.line.Understood(trail.Identity{Name: foreign.Text(c.Name), App: l.key.App, Entrypoint: l.key.Entrypoint, Started: c.Started}, func() trail.Facts {
		f := trail.Facts{Identity: identifiedBy(c.Labels, c.Name), Interval: check.Interval, Timeout: check.Timeout, Publish: check.Publish,
			Why: foreign.Text(c.Why), Networks: named(c.Networks), Endpoints: endpoints, Pid: c.Pid}
		if c.Addr.IsValid() {
			f.Address = c.Addr.String()
		} else {
			f.Why = foreign.Text(c.NoAddr)
		}
		if fault != nil {
			f.Fault = foreign.Within(fault.Error(), 4*foreign.MaxText)
		}
		for _, p := range check.Probes {
			f.Probes = append(f.Probes, foreign.Within(p.Name, maxProbeName))
		}
		for _, r := range parser.Read(c.Labels) {
			f.Labels = append(f.Labels, trail.Label{Name: foreign.Text(r.Label), Value: foreign.Text(r.Value), Meaning: foreign.Text(r.Meaning)})
		}
		f.Labels = slices.Clip(f.Labels)
		return f
	})
}

// named are the addresses on each network.
func named(networks map[string]netip.Addr) map[string]string {
	found := make(map[string]string, len(networks))
	for name, addr := range networks {
		found[foreign.Text(name)] = addr.String()
	}
	return found
}
