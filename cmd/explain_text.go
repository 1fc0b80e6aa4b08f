package cmd

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/projecteru2/eru-agent/cmd/diagnosis"
	"github.com/projecteru2/eru-agent/foreign"
	"github.com/projecteru2/eru-agent/healthcheck"
	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/trail"
)

// lastProbes is how many of them are shown.
const lastProbes = 5

// explanation is one page for a person.
func explanation(e diagnosis.Evidence, a diagnosis.Advice, p paint) string {
	var b strings.Builder
	pg := page{&b, p}
	pg.head(e)
	pg.agent(e)
	pg.docker(e)
	pg.etcd(e)
	colour := red
	if a.Well {
		colour = green
	}
	fmt.Fprintf(&b, "\n%s\n", p(colour, foreign.Text(a.Cause)))
	if a.Do != "" {
		fmt.Fprintf(&b, "%s %s\n", p(bold, "Next:"), foreign.Text(a.Do))
	}
	return b.String()
}

type page struct {
	*strings.Builder
	paint paint
}

// section begins one, with its rows.
func (p page) section(title string, rows ...[]cell) {
	if len(rows) == 0 {
		return
	}
	fmt.Fprintf(p, "\n%s\n", p.paint(bold, title))
	for i, row := range rows {
		rows[i] = append([]cell{{text: " "}}, row...)
	}
	writeTable(p.Builder, p.paint, rows)
}

func (p page) head(e diagnosis.Evidence) {
	name, id, state := e.Word, "", ""
	if e.Docker != nil && e.Docker.Exists {
		name, id = e.Docker.Container.Name, e.Docker.Container.ID
	}
	if e.Agent != nil {
		name, id, state = e.Agent.Name, e.Agent.ID, e.Agent.Last().To
	}
	p.WriteString(p.paint(bold, foreign.Text(name)))
	if id != "" {
		fmt.Fprintf(p, " %.12s", id)
	}
	if state != "" {
		fmt.Fprintf(p, " is %s", p.paint(stateColour(status.State(state)), foreign.Text(state)))
	}
	p.WriteString("\n")
}

func (p page) agent(e diagnosis.Evidence) {
	if e.Agent == nil {
		p.section("Agent", []cell{{e.AgentTrouble, yellow}})
		return
	}
	c, f := e.Agent, e.Agent.Facts
	rows := [][]cell{{{text: "service"}, {text: c.App + "/" + c.Entrypoint}, {"by " + f.Identity, grey}},
		{{text: "address"}, {text: dash(f.Address)}, {f.Why, grey}}}
	if f.Fault == "" {
		check := "none: it is healthy while it runs"
		if len(f.Probes) > 0 {
			check = fmt.Sprintf("%s each %s, within %s", strings.Join(f.Probes, " and "), f.Interval, f.Timeout)
		}
		rows = append(rows, []cell{{text: "check"}, {text: check}})
		rows = append(rows, []cell{{text: "publishes"}, {text: endpoints(status.Status{Endpoints: f.Endpoints})}})
	}
	p.section("Understood as", rows...)
	var labels [][]cell
	for _, l := range f.Labels {
		labels = append(labels, []cell{{text: l.Name + "=" + foreign.Within(l.Value, 60)}, {l.Meaning, grey}})
	}
	p.section("Labels", labels...)
	p.probes(c)
	p.steps(c)
}

func (p page) probes(c *trail.Container) {
	var rows [][]cell
	for _, v := range c.Probes[max(0, len(c.Probes)-lastProbes):] {
		result := cell{"pass", green}
		switch {
		case v.Void:
			result = cell{"not counted: " + v.Reason, yellow}
		case !v.Pass:
			result = cell{v.Reason, red}
		}
		rows = append(rows, []cell{{text: clock(v.At)}, result, {text: timings(healthcheck.Timings(v.Phases))}})
	}
	p.section(fmt.Sprintf("Last probes (%d kept)", len(c.Probes)), rows...)
	rows = nil
	for _, v := range c.Verdicts[max(0, len(c.Verdicts)-lastProbes):] {
		result := cell{"pass", green}
		if !v.Pass {
			result = cell{v.Reason, red}
		}
		rows = append(rows, []cell{{text: clock(v.At)}, result, {text: v.Name}, {v.Detail, grey}})
	}
	p.section(fmt.Sprintf("Changes of the verdict (%d kept)", len(c.Verdicts)), rows...)
}

func (p page) steps(c *trail.Container) {
	var rows [][]cell
	for _, s := range c.Steps {
		taken := cell{"etcd has not taken it yet", yellow}
		switch {
		case s.Inherited:
			taken = cell{"as an earlier agent had published", grey}
		case s.Overtaken:
			taken = cell{"overtaken by what came next", grey}
		case s.Published.Revision != 0:
			taken = cell{fmt.Sprintf("in etcd %s later, at revision %d", s.Published.At.Sub(s.Detected).Round(time.Microsecond*100), s.Published.Revision), ""}
		}
		rows = append(rows, []cell{{text: clock(s.Detected)}, {s.To, stateColour(status.State(s.To))}, taken, {strings.TrimSpace(s.Reason + " " + s.Detail), grey}})
	}
	p.section("Published", rows...)
}

func clock(t time.Time) string { return t.Local().Format("01-02 15:04:05.000") }

func (p page) docker(e diagnosis.Evidence) {
	switch d := e.Docker; {
	case d == nil:
		p.section("Docker", []cell{{e.DockerTrouble, yellow}})
	case !d.Exists:
		p.section("Docker", []cell{{"does not know it", red}})
	case !d.Running:
		p.section("Docker", []cell{{"it does not run", red}})
	case !d.Ours:
		p.section("Docker", []cell{{"it runs, and its labels do not select it", yellow}})
	}
}

func (p page) etcd(e diagnosis.Evidence) {
	t := e.Etcd
	switch {
	case t == nil:
		p.section("What a proxy sees", []cell{{cmp.Or(e.EtcdTrouble, "not known"), yellow}})
		return
	case !t.Exists:
		p.section("What a proxy sees", []cell{{"nothing: no key of it stands in etcd at " + foreign.Text(e.EtcdAt), yellow}})
		return
	}
	use := map[string]string{"ready": "sends requests", "drain": "begins nothing new", "none": "sends nothing"}[t.Use]
	rows := [][]cell{
		{{string(t.Status.State), stateColour(t.Status.State)}, {text: fmt.Sprintf("at revision %d, since %s", t.Revision, clock(t.Status.Since))}, {why(t.Status), grey}},
		{{text: use}, {text: endpoints(t.Status)}},
	}
	if t.Panic {
		rows = append(rows, []cell{{"panic", yellow}, {text: "so much of its service fails that the last set is kept"}})
	}
	switch {
	case t.Silent && e.Alone:
		rows = append(rows, []cell{{text: "unwatched"}, {text: "its agent holds no session, because selfmon.enabled is false"}})
	case t.Silent:
		rows = append(rows, []cell{{"silent", yellow}, {text: "its node's session has ended; this is the last known"}})
	}
	if t.Wish != nil {
		rows = append(rows, []cell{{"drained", yellow}, {text: fmt.Sprintf("by %s: %s, %s", t.Wish.By, dash(t.Wish.Reason), ending(*t.Wish))}})
	}
	p.section("What a proxy sees", rows...)
}
