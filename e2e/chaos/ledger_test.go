package chaos

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

// overlap is how long after a change of the truth the former one may still be written: what caused it was on its way.
const overlap = time.Second

// probed is how long before a status the probe may have begun that led to it.
const probed = 3 * time.Second

// ledger knows what each container of a node truly is, and holds against it every revision that the witness sees. It
// takes nothing from the agent.
//
// A container has one truth at a time: the state in which it shall end, and those that may be seen on the way. Once the
// end has been seen, only a new truth allows another state. The truth is told before it is made true, because the agent may
// be faster than the command; only that of a new container is told when its ID is known.
type ledger struct {
	row  *row
	node *rig.Node
	// away is how long the witness may have been blind: what it sees after that is allowed to be old by as much.
	away time.Duration

	mu     sync.Mutex
	truths map[string][]truth // by container ID, in order
	judged int                // events of the witness
	early  []rig.Event        // of containers whose truth is not known yet
	last   map[string]sight
	seqs   map[string]uint64
	tardy  int // verdicts that the suite's own servers earned
}

type truth struct {
	since time.Time
	end   string
	way   []string
}

// sight is the newest that was seen of a container.
type sight struct {
	state string
	truth int // index of the truth that it fits
	at    time.Time
}

// newLedger begins to judge the node; in the end of the test nothing may be unjudged.
func newLedger(row *row, node *rig.Node) *ledger {
	l := &ledger{row: row, node: node, truths: map[string][]truth{}, last: map[string]sight{}, seqs: map[string]uint64{}}
	row.t.Cleanup(func() {
		l.judge()
		if l.tardy > 0 {
			l.row.note("the suite was too busy to answer %d times", l.tardy)
		}
		for _, e := range l.early {
			row.wrongly("revision %d is about a container that there never was: %s", e.Revision, e.Key)
		}
	})
	return l
}

// is says that from now on the truth of a container is end, and that it may be seen in one of way before. End is rig.Gone
// for a container whose key must go away.
func (l *ledger) is(id, end string, way ...string) {
	l.judge()
	l.mu.Lock()
	l.truths[id] = append(l.truths[id], truth{time.Now(), end, way})
	l.mu.Unlock()
	l.judge()
}

// begins is a new life that serves.
func (l *ledger) begins(id string) { l.is(id, "healthy", "starting") }

// restarts is the end of a life and a new one that serves.
func (l *ledger) restarts(id string) {
	l.is(id, "healthy", "draining", "unhealthy", "stopped", "starting")
}

// dies is the end of a life. A process that ends closes its ports before it is gone, so that a probe may fail first.
func (l *ledger) dies(id string) { l.is(id, "stopped", "draining", "unhealthy") }

// goes is the removal of a container, running or not.
func (l *ledger) goes(id string) { l.is(id, rig.Gone, "draining", "unhealthy", "stopped") }

// judge holds everything new against the truth.
func (l *ledger) judge() {
	l.mu.Lock()
	defer l.mu.Unlock()
	events := l.node.Since(l.judged)
	l.judged += len(events)
	events = append(l.early, events...)
	l.early = nil
	for _, e := range events {
		switch id := e.Key[strings.LastIndexByte(e.Key, '/')+1:]; {
		case !strings.HasPrefix(e.Key, "status/"):
		case len(l.truths[id]) == 0:
			l.early = append(l.early, e)
		default:
			l.judgeLocked(id, e)
		}
	}
}

func (l *ledger) judgeLocked(id string, e rig.Event) {
	var s rig.Status
	state, was := rig.Gone, l.last[id]
	if !e.Deleted() {
		s = e.Status(l.row.t)
		state = s.State
		l.lawsLocked(e, s)
	} else if was.state != "stopped" && was.state != "" {
		l.row.wrongly("revision %d deletes %s, which was %s and never said to be stopped", e.Revision, e.Key, was.state)
	}
	fits := l.fitLocked(id, state, was, e.At)
	switch {
	case fits >= 0:
	case l.earned(s, e.At):
		l.tardy++
		fits = was.truth
	default:
		l.row.wrongly("revision %d says that %s is %s after %s; the truth since %s is %s: %s", e.Revision, e.Key, state, or(was.state, "nothing"),
			e.At.Sub(l.truths[id][len(l.truths[id])-1].since).Round(time.Millisecond), l.truths[id][len(l.truths[id])-1].end, e.Value)
		fits = was.truth
	}
	l.last[id] = sight{state: state, truth: fits, at: e.At}
}

// earned says whether a container is rightly called silent, because the suite itself, which stands for it, was.
func (l *ledger) earned(s rig.Status, at time.Time) bool {
	if l.node.Crowd == nil || s.State != "unhealthy" || s.Reason != "timeout" {
		return false
	}
	for _, endpoint := range s.Endpoints {
		if l.node.Crowd.Tardy(endpoint, at.Add(-probed)) {
			return true
		}
	}
	return false
}

// lawsLocked holds for every status, whatever happens.
func (l *ledger) lawsLocked(e rig.Event, s rig.Status) {
	alive := !slices.Contains([]string{"stopped", "lost"}, s.State)
	switch {
	case s.Healthy != (s.State == "healthy") || s.Running != alive:
		l.row.wrongly("revision %d contradicts itself: %s", e.Revision, e.Value)
	case e.Lease != 0:
		l.row.wrongly("revision %d hangs on a lease: %s", e.Revision, e.Key)
	case s.Seq < l.seqs[s.ID]:
		l.row.wrongly("revision %d is older than what stood before it: sequence %d after %d: %s", e.Revision, s.Seq, l.seqs[s.ID], e.Value)
	}
	l.seqs[s.ID] = max(l.seqs[s.ID], s.Seq)
}

// fitLocked is the truth that a state fits, -1 if none. Of several it is the oldest: the others may still be told.
func (l *ledger) fitLocked(id, state string, was sight, at time.Time) int {
	all := l.truths[id]
	for i := was.truth; i < len(all); i++ {
		ended := was.state == all[i].end && was.truth == i
		switch {
		case i+1 < len(all) && at.Sub(all[i+1].since) > overlap+l.away: // another truth has stood for long
		case state == all[i].end, !ended && slices.Contains(all[i].way, state):
			return i
		}
	}
	return -1
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// settle returns once every container is seen as it truly is, and how long after since the last of them was.
func (l *ledger) settle(since time.Time) time.Duration {
	l.row.t.Helper()
	l.node.Await(l.row.t, "everything to be right", func() bool { return len(l.amiss()) == 0 }, func() string {
		list := l.amiss()
		return fmt.Sprintf("%d that are not, as %s", len(list), strings.Join(list[:min(len(list), 5)], "; "))
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	var last time.Time
	for _, s := range l.last {
		if s.at.After(last) {
			last = s.at
		}
	}
	return max(0, last.Sub(since))
}

// amiss are the containers that are not seen as they are.
func (l *ledger) amiss() []string {
	l.judge()
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []string
	for id, all := range l.truths {
		if end := all[len(all)-1].end; l.last[id].state != end && (end != rig.Gone || l.last[id].state != "") {
			list = append(list, fmt.Sprintf("%.12s is %s, not %s", id, or(l.last[id].state, "nothing"), end))
		}
	}
	return list
}

// nothingNew returns once the witness has seen all there is, and judges it. A fault under which nothing may change ends
// with it.
func (l *ledger) nothingNew() {
	l.row.t.Helper()
	l.node.Catch()
	l.judge()
	if list := l.amiss(); len(list) > 0 {
		l.row.wrongly("%d containers are not what they are, as %s", len(list), list[0])
	}
}

// TestLedger holds that the ledger finds what it is for.
func TestLedger(t *testing.T) {
	t0 := time.Unix(1000, 0)
	l := &ledger{truths: map[string][]truth{
		"a":     {{t0, "healthy", []string{"starting"}}, {t0.Add(10 * time.Second), "stopped", []string{"draining"}}},
		"flaps": {{t0, "healthy", nil}, {t0.Add(time.Second), "unhealthy", nil}, {t0.Add(2 * time.Second), "healthy", nil}, {t0.Add(2100 * time.Millisecond), "unhealthy", nil}},
	}, last: map[string]sight{}}
	unhealthy := 2110 * time.Millisecond // of the first time or of the second
	if one := l.fitLocked("flaps", "unhealthy", sight{state: "healthy"}, t0.Add(unhealthy)); one != 1 {
		t.Errorf("unhealthy fits %d, want 1", one)
	}
	healthy := sight{state: "healthy", truth: 0}
	for _, c := range []struct {
		state string
		was   sight
		at    time.Duration
		want  int
	}{
		{"starting", sight{}, 0, 0},
		{"healthy", sight{state: "starting"}, time.Second, 0},
		{"unhealthy", healthy, time.Second, -1},
		{"starting", healthy, time.Second, -1}, // it has ended
		{"healthy", sight{}, 10*time.Second + overlap/2, 0},
		{"healthy", sight{}, 12 * time.Second, -1},
		{"draining", healthy, 12 * time.Second, 1},
		{"stopped", healthy, 12 * time.Second, 1},
		{"healthy", sight{state: "stopped", truth: 1}, 10*time.Second + overlap/2, -1}, // the older after the newer
		{"draining", sight{state: "stopped", truth: 1}, 12 * time.Second, -1},
	} {
		if got := l.fitLocked("a", c.state, c.was, t0.Add(c.at)); got != c.want {
			t.Errorf("%s after %+v at %s fits %d, want %d", c.state, c.was, c.at, got, c.want)
		}
	}
}

// TestTardyLedger holds that a verdict of timeout is forgiven where the suite let a request wait, and nowhere else.
func TestTardyLedger(t *testing.T) {
	l, err := net.Listen("tcp", "0.0.0.0:0") //nolint:gosec // as the crowd does
	if err != nil {
		t.Fatal(err)
	}
	crowd, began := rig.NewCrowd(t, dockertest.Config{}), time.Now()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	late, timely := "127.9.9.1:"+port, "127.9.9.2:"+port
	conn, err := net.Dial("tcp", late)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	<-time.After(300 * time.Millisecond) // the suite's lateness
	crowd.Answer(l)
	book := &ledger{node: &rig.Node{Crowd: crowd}}
	silent := func(endpoint, reason string) rig.Status {
		return rig.Status{State: "unhealthy", Reason: reason, Endpoints: map[string]string{port: endpoint}}
	}
	for _, c := range []struct {
		what string
		s    rig.Status
		at   time.Time
		want bool
	}{
		{"late", silent(late, "timeout"), began, true},
		{"long ago", silent(late, "timeout"), time.Now().Add(probed + time.Minute), false},
		{"another reason", silent(late, "refused"), began, false},
		{"another container", silent(timely, "timeout"), time.Now(), false},
		{"healthy", rig.Status{State: "healthy", Endpoints: map[string]string{port: late}}, began, false},
	} {
		if got := book.earned(c.s, c.at); got != c.want {
			t.Errorf("%s: %t, want %t", c.what, got, c.want)
		}
	}
}
