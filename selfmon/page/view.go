package page

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/projecteru2/eru-agent/foreign"
	"github.com/projecteru2/eru-agent/status"
)

// view is a Node as the template shows it. Nobody changes it once it is made.
type view struct {
	live func() (*scene, error) // what of it is sent to those who follow

	At       time.Time
	Name     string
	Version  string
	Stopping bool
	NotReady string
	Up       age
	Counts   []count
	Vitals   []Vital
	Rows     []row
	More     int // rows that are left out
	hour
}

// count is how many containers are in a state.
type count struct {
	State status.State
	Count int
}

// age is how long something is ago. The text is left out of what is sent to those
// who follow, because it is no news that time goes by: their script counts.
type age struct {
	At   time.Time
	Text string
}

// row is a container.
type row struct {
	Key, ID, State  string
	App, Entrypoint string
	Name, Why       string
	Endpoints       []string
	Spark           *spark
	Since           age
}

// What is shown at most. The worst come first, so what is left out is well.
const (
	maxRows      = 500
	maxEndpoints = 8
)

// order is from what needs somebody to what does not.
func order() []status.State {
	return []status.State{
		status.StateInvalid, status.StateUnhealthy, status.StateLost, status.StateStarting,
		status.StateDraining, status.StatePaused, status.StateHealthy, status.StateStopped,
	}
}

func (p *Page) newView(n Node) *view {
	v := &view{
		At: n.At, Name: foreign.Within(n.Name, 128), Version: foreign.Within(n.Version, 64), Stopping: n.Stopping,
		NotReady: foreign.Within(n.NotReady, 512), Up: since(n.Started, n.At), Vitals: n.Vitals, hour: newHour(n.Moves, n.At),
	}
	v.count(n.Containers)
	worst := order()
	list := slices.Clone(n.Containers)
	slices.SortStableFunc(list, func(a, b Container) int {
		return cmp.Or(slices.Index(worst, a.Status.State)-slices.Index(worst, b.Status.State),
			strings.Compare(a.Key.App, b.Key.App), strings.Compare(a.Key.Entrypoint, b.Key.Entrypoint),
			strings.Compare(a.Status.Name, b.Status.Name), strings.Compare(a.Key.ID, b.Key.ID))
	})
	v.More = max(len(list)-maxRows, 0)
	for _, c := range list[:len(list)-v.More] {
		v.Rows = append(v.Rows, newRow(c, n.At))
	}
	v.live = sync.OnceValues(func() (*scene, error) { return p.newScene(v) })
	return v
}

func (v *view) count(containers []Container) {
	number := map[status.State]int{}
	for _, c := range containers {
		number[c.Status.State]++
	}
	for _, state := range order() {
		if number[state] > 0 {
			v.Counts = append(v.Counts, count{state, number[state]})
		}
	}
}

func newRow(c Container, now time.Time) row {
	s := c.Status
	r := row{
		Key: foreign.Within(c.Key.ID, 64), ID: foreign.Within(c.Key.ID[:min(len(c.Key.ID), 12)], 12), State: foreign.Within(string(s.State), 16), App: foreign.Within(c.Key.App, 128), Entrypoint: foreign.Within(c.Key.Entrypoint, 128),
		Name: foreign.Within(s.Name, 128), Why: why(s.Reason, s.Detail), Since: since(s.Since, now), Spark: newSpark(c.Probes),
	}
	for port, to := range s.Endpoints {
		r.Endpoints = append(r.Endpoints, foreign.Within(port, 5)+" → "+foreign.Within(to, 64))
	}
	slices.SortFunc(r.Endpoints, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b)) })
	if more := len(r.Endpoints) - maxEndpoints; more > 0 {
		r.Endpoints = append(r.Endpoints[:maxEndpoints], "…")
	}
	return r
}

// why joins a reason and its detail.
func why(reason, detail string) string {
	reason, detail = foreign.Within(reason, 64), foreign.Within(detail, 256)
	if reason != "" && detail != "" {
		return reason + " · " + detail
	}
	return reason + detail
}

// since says how long at is ago, in the two largest units.
func since(at, now time.Time) age {
	return age{At: at, Text: spell(max(now.Sub(at), 0).Truncate(time.Second))}
}
