package silence

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/e2e/rig"
)

// judge knows what each container truly is, and holds against it every revision that the witness sees. It takes nothing
// from an agent.
//
// A container has one truth at a time: the state in which it shall end, and those that may be seen on the way. Once the end
// has been seen, only a new truth allows another state.
type judge struct {
	t    testing.TB
	row  *row
	seen *rig.Witness

	mu     sync.Mutex
	truths map[string]*truth // by container ID
	judged int               // events of the witness
	moved  map[string]bool   // containers whose status has left healthy
	tardy  int               // verdicts that the suite's own servers earned
}

// probed is how long before a verdict its probe may have begun, a monitor's inquiry included.
const probed = 5 * time.Second

type truth struct {
	name  string
	end   string
	way   []string
	state string // that was seen last
	at    time.Time
	ended bool
	late  func(since time.Time) bool // says whether the suite, which stands for it, let somebody wait
}

// newJudge judges until the test ends. Each container's first truth must be told before its agent starts.
func newJudge(t testing.TB, row *row, seen *rig.Witness) *judge {
	j := &judge{t: t, row: row, seen: seen, truths: map[string]*truth{}, moved: map[string]bool{}}
	t.Cleanup(func() {
		seen.Catch()
		j.judge()
		j.mu.Lock()
		defer j.mu.Unlock()
		if j.tardy > 0 {
			row.note("the suite was too busy to answer %d times", j.tardy)
		}
		for id, one := range j.truths {
			if !one.ended {
				row.wrongly("in the end %s is %s, not %s", one.name, one.state, one.end)
			}
			if !j.moved[id] {
				row.stays(1)
			}
		}
	})
	return j
}

// begins tells of a container that serves from its start on. late says whether the suite let somebody wait who asked it.
func (j *judge) begins(id, name string, late func(since time.Time) bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.truths[id] = &truth{name: name, end: "healthy", way: []string{"starting"}, late: late}
}

// is says that from now on the truth of containers is end, and that they may be seen in one of way before. It is told
// before it is made true.
func (j *judge) is(containers []*container, end string, way ...string) {
	j.t.Helper()
	j.seen.Catch() // what was written before is judged by what was true then
	j.judge()
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, c := range containers {
		one := j.truths[c.ID]
		one.end, one.way, one.ended = end, append(way, one.state), false
	}
}

// judge holds everything new against the truth.
func (j *judge) judge() {
	j.mu.Lock()
	defer j.mu.Unlock()
	events := j.seen.Since(j.judged)
	j.judged += len(events)
	for _, e := range events {
		if strings.HasPrefix(e.Key, "status/") {
			j.judgeLocked(e.Key[strings.LastIndexByte(e.Key, '/')+1:], e)
		}
	}
}

func (j *judge) judgeLocked(id string, e rig.Event) {
	one := j.truths[id]
	if one == nil || e.Deleted() {
		j.row.wrongly("revision %d of %s: %q; there is no such container, or it should not go", e.Revision, e.Key, e.Value)
		return
	}
	s := e.Status(j.t)
	alive := !slices.Contains([]string{"stopped", "lost"}, s.State)
	if s.Healthy != (s.State == "healthy") || s.Running != alive || e.Lease != 0 {
		j.row.wrongly("revision %d contradicts itself: %s", e.Revision, e.Value)
	}
	if s.State != "healthy" && s.State != "starting" {
		j.moved[id] = true
	}
	one.state, one.at = s.State, e.At
	switch {
	case s.State == one.end:
		one.ended = true
	case !one.ended && slices.Contains(one.way, s.State):
	case timedOut(s) && one.late(e.At.Add(-probed)):
		j.tardy++
	default:
		j.row.wrongly("revision %d says that %s is %s; the truth is %s: %s", e.Revision, one.name, s.State, one.end, e.Value)
	}
}

// timedOut says that an agent, its own or a monitor's, waited in vain for a container's answer.
func timedOut(s rig.Status) bool {
	return s.State == "unhealthy" && (s.Reason == "timeout" || s.Reason == "surrogate" && strings.HasSuffix(s.Detail, "(timeout)"))
}

// settle returns once all containers are seen as they truly are, and how long after since the last of some was.
func (j *judge) settle(since time.Time, of []*container) time.Duration {
	j.t.Helper()
	j.seen.Await(j.t, "everything to be right", func() bool { return len(j.amiss()) == 0 }, func() string {
		return strings.Join(j.amiss(), "; ")
	})
	j.mu.Lock()
	defer j.mu.Unlock()
	var last time.Time
	for _, c := range of {
		if at := j.truths[c.ID].at; at.After(last) {
			last = at
		}
	}
	return max(0, last.Sub(since))
}

// amiss are the containers that are not seen as they are.
func (j *judge) amiss() []string {
	j.judge()
	j.mu.Lock()
	defer j.mu.Unlock()
	var list []string
	for _, one := range j.truths {
		if !one.ended {
			list = append(list, fmt.Sprintf("%s is %q, not %s", one.name, one.state, one.end))
		}
	}
	slices.Sort(list)
	return list
}

// deaf is a test that does not fail.
type deaf struct{ testing.TB }

func (deaf) Helper()               {}
func (deaf) Errorf(string, ...any) {}

// TestJudge holds that the judge finds what it is for.
func TestJudge(t *testing.T) {
	for _, tt := range []struct {
		truth  truth
		states string
		wrong  int
	}{
		{truth{end: "healthy", way: []string{"starting"}}, "starting healthy", 0},
		{truth{end: "healthy", way: []string{"starting"}}, "starting healthy unhealthy", 1},
		{truth{end: "healthy", way: []string{"starting"}}, "starting healthy lost healthy", 1},
		{truth{end: "lost", way: []string{"healthy"}}, "lost", 0},
		{truth{end: "lost", way: []string{"healthy"}}, "healthy lost", 0},
		{truth{end: "lost", way: []string{"healthy"}}, "unhealthy lost", 1},
		{truth{end: "healthy", way: []string{"lost"}}, "healthy lost", 1}, // the older after the newer
	} {
		try := &row{t: deaf{}}
		j := &judge{t: deaf{}, row: try, truths: map[string]*truth{"c": &tt.truth}, moved: map[string]bool{}}
		for i, state := range strings.Fields(tt.states) {
			value := fmt.Sprintf(`{"state":%q,"running":%t,"healthy":%t}`, state, state != "lost", state == "healthy")
			j.judgeLocked("c", rig.Event{Revision: int64(i), Key: "status/a/b/n/c", Value: []byte(value)})
		}
		if try.wrong != tt.wrong {
			t.Errorf("of %q %d are wrong, want %d", tt.states, try.wrong, tt.wrong)
		}
	}
}

// TestTardyJudge holds that a verdict of timeout is forgiven where the suite let somebody wait, and nowhere else.
func TestTardyJudge(t *testing.T) {
	t.Parallel()
	at := time.Now()
	for _, tt := range []struct {
		reason, detail string
		waited         time.Time
		wrong          int
	}{
		{"timeout", "", at.Add(-time.Second), 0},
		{"surrogate", "asked from node a: http :80/: no answer in time (timeout)", at.Add(-time.Second), 0},
		{"timeout", "", at.Add(-time.Minute), 1},
		{"refused", "", at.Add(-time.Second), 1},
		{"surrogate", "asked from node a: http :80/: 500, want 200-399 (http_code)", at.Add(-time.Second), 1},
	} {
		late := func(since time.Time) bool { return !tt.waited.Before(since) }
		try := &row{t: deaf{}}
		j := &judge{t: deaf{}, row: try, truths: map[string]*truth{"c": {end: "healthy", state: "healthy", ended: true, late: late}}, moved: map[string]bool{}}
		value := fmt.Sprintf(`{"state":"unhealthy","running":true,"healthy":false,"reason":%q,"detail":%q}`, tt.reason, tt.detail)
		j.judgeLocked("c", rig.Event{Revision: 1, Key: "status/a/b/n/c", Value: []byte(value), At: at})
		if try.wrong != tt.wrong || j.tardy != 1-tt.wrong {
			t.Errorf("%+v: %d are wrong, %d forgiven", tt, try.wrong, j.tardy)
		}
	}
}
