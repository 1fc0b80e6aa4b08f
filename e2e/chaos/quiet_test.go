package chaos

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/projecteru2/eru-agent/e2e/rig"
)

// calm is how long nothing may happen any more before it counts as quiet: more than two probe intervals.
const calm = 450 * time.Millisecond

// hurried makes those who wait for what may never come wait less: a sequence has failed and is being shrunk. It
// is for all scenes.
var hurried atomic.Bool

// quietWithin bounds that wait. It is less than the half minute after which Docker is listed without need, and the minute
// after which keys are compared: what only these would mend is a fault here.
func quietWithin() time.Duration {
	if hurried.Load() {
		return 8 * time.Second
	}
	return 20 * time.Second
}

// quiet returns once etcd holds exactly what it must and goes on doing so, and since when it did.
func (w *world) quiet() time.Time {
	late := time.After(quietWithin())
	for {
		w.judge()
		before, since := w.judged, time.Now()
		wrong := w.wrong()
		wait := 20 * time.Millisecond
		if len(wrong) == 0 {
			wait = calm
		}
		select {
		case <-late:
			w.t.Fatalf("all is mended, and not all is as it must be:\n%s\nIt holds:\n%s", strings.Join(wrong, "\n"), w.content())
		case <-time.After(wait):
		}
		if len(wrong) > 0 {
			continue
		}
		w.node.Catch()
		w.judge()
		if w.judged == before+1 && len(w.wrong()) == 0 { // nothing but the witness's own mark
			return since
		}
	}
}

// wrong is all in which etcd differs from what it must hold; after that, what the agent lacks to be ready, and what it has
// miscounted. A verdict that comes between two of these looks makes a difference too, which does not last.
func (w *world) wrong() []string {
	var list []string
	note := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	left := maps.Clone(w.current)
	for _, c := range w.crowd.Containers() {
		want := expected(w.facts(c))
		if want == nil {
			continue
		}
		key := w.key(w.all[c.ID], want.service)
		e, ok := left[key]
		delete(left, key)
		if !ok {
			note("%s is missing, want %v", key, want.outcomes)
			continue
		}
		if !json.Valid(e.Value) {
			note("%s is what somebody else wrote: %s", key, e.Value)
			continue
		}
		for _, what := range differs(e.Status(w.t), w.facts(c), want) {
			note("%s: %s", key, what)
		}
	}
	w.agentKeys(left, note)
	for key := range left {
		note("%s is too much", key)
	}
	if len(list) > 0 {
		return list
	}
	if code, body, err := w.agent.Get("/readyz"); err != nil || code != http.StatusOK {
		note("/readyz says %d %s %v", code, body, err)
		return list
	}
	w.census(note)
	return list
}

// differs says in what a status is not the one that is wanted.
func differs(s rig.Status, c facts, want *want) []string {
	var list []string
	note := func(what string, got, want any) {
		list = append(list, fmt.Sprintf("%s is %v, want %v", what, got, want))
	}
	if got := (outcome{s.State, s.Reason}); !slices.Contains(want.outcomes, got) {
		note("its state", got, want.outcomes)
	}
	if s.Healthy != (s.State == "healthy") || s.Running != c.alive() {
		note("running, healthy", fmt.Sprint(s.Running, s.Healthy), c.Status)
	}
	if s.ID != c.ID || s.Name != c.Name || !s.Started.Equal(c.StartedAt) {
		note("its name", fmt.Sprint(s.ID, s.Name, s.Started), fmt.Sprint(c.ID, c.Name, c.StartedAt))
	}
	if s.Since.Before(c.StartedAt) || s.Since.After(time.Now()) {
		note("since", s.Since, c.StartedAt)
	}
	if want.networks != nil && !maps.Equal(s.Networks, want.networks) {
		note("networks", s.Networks, want.networks)
	}
	if want.endpoints != nil && !maps.Equal(s.Endpoints, want.endpoints) {
		note("endpoints", s.Endpoints, want.endpoints)
	}
	var labels map[string]string
	text, err := base64.StdEncoding.DecodeString(s.Extension)
	if err != nil || json.Unmarshal(text, &labels) != nil || !maps.Equal(labels, c.kind.labels) {
		note("its extension", string(text), c.kind.labels)
	}
	return list
}

// agentKeys takes what is the node's own, and no container's, out of what is left.
func (w *world) agentKeys(left map[string]rig.Event, note func(string, ...any)) {
	var owner struct{ Instance string }
	var node struct {
		Nodename string
		Alive    bool
		Agent    struct{ Instance, State string }
	}
	var monitor struct{ Node string }
	o, n, m := left["agent/"+w.node.Name], left["status:node/"+w.node.Name], left["selfmon/active"]
	delete(left, "agent/"+w.node.Name)
	delete(left, "status:node/"+w.node.Name)
	_, _, _ = json.Unmarshal(o.Value, &owner), json.Unmarshal(n.Value, &node), json.Unmarshal(m.Value, &monitor)
	if monitor.Node == w.node.Name && m.Lease != 0 { // this agent is elected, or its predecessor until its session ends
		delete(left, "selfmon/active")
	}
	if owner.Instance == "" || o.Lease != 0 {
		note("the owner record is %s, lease %x", o.Value, o.Lease)
	}
	if !node.Alive || node.Nodename != w.node.Name || node.Agent.State != "running" || node.Agent.Instance != owner.Instance || n.Lease == 0 {
		note("the node's record is %s, lease %x; the owner is %s", n.Value, n.Lease, o.Value)
	}
}

// census holds the agent's gauges against what etcd holds, which is right.
func (w *world) census(note func(string, ...any)) {
	want := map[string]int{}
	for key, e := range w.current {
		if strings.HasPrefix(key, "status/") {
			want[e.Status(w.t).State]++
		}
	}
	code, body, err := w.agent.Get("/metrics")
	if err != nil || code != http.StatusOK {
		note("reading metrics: code %d: %v", code, err)
		return
	}
	for line := range strings.Lines(body) {
		state, found := strings.CutPrefix(line, `eru_agent_containers{state="`)
		if !found {
			continue
		}
		state, value, _ := strings.Cut(strings.TrimSpace(state), `"} `)
		if value != fmt.Sprint(want[state]) {
			note("the gauge of %s containers is %s, want %d", state, value, want[state])
		}
		delete(want, state)
	}
	if len(want) > 0 {
		note("there are no gauges of %v", want)
	}
}
