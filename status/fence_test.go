package status_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"pgregory.net/rapid"

	"github.com/projecteru2/eru-agent/status"
)

// TestFence drives random sequences of what an agent and two monitors do, each
// of which may be frozen, expire, or be elected at any step, and holds that a
// monitor's write takes effect if and only if its term lasts and the node is
// silent and as it was read, and that the agent that comes back has the last
// word, at once.
func TestFence(t *testing.T) {
	onBoth(t, map[string]func(*testing.T, *env){"sequences": func(t *testing.T, e *env) {
		n := 0
		rapid.Check(t, func(rt *rapid.T) {
			sequence := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) fenceStep {
				return fenceStep{
					what: rapid.SampledFrom([]string{
						"kill", "start", "lose session", "lose session", "get session", "publish",
						"succeed", "succeed", "succeed", "expire", "read", "read", "cut half", "cut", "cut", "cut", "mend", "forget", "resign",
					}).Draw(rt, "what"),
					who: rapid.IntRange(0, 1).Draw(rt, "who"), pick: rapid.IntRange(0, 3).Draw(rt, "pick"),
				}
			}), 1, 25).Draw(rt, "sequence")
			n++
			sub := *e
			sub.prefix = fmt.Sprintf("%s-%d", e.prefix, n)
			w := newFenceWorld(t, &sub)
			defer w.end()
			defer func() {
				if t.Failed() { // by a wait in vain
					t.Logf("the sequence was %v", sequence)
				}
			}()
			for _, s := range sequence {
				w.take(s)
			}
			w.finish()
			if len(w.faults) > 0 {
				rt.Fatalf("%v\n%s", sequence, strings.Join(w.faults, "\n"))
			}
		})
	}})
}

// TestReturnIsSettledWhenCorrected lets a monitor cut a node whose session has ended, and the session come back: the agent
// calls that settled when it has corrected what the monitor wrote, and not before.
func TestReturnIsSettledWhenCorrected(t *testing.T) {
	onBoth(t, map[string]func(*testing.T, *env){"cut": func(t *testing.T, e *env) {
		w := newFenceWorld(t, e)
		defer w.end()
		for range 20 {
			w.take(fenceStep{what: "succeed"})
			w.take(fenceStep{what: "lose session"})
			w.take(fenceStep{what: "cut"})
			w.take(fenceStep{what: "get session"}) // and waits until it is settled
			for k, want := range w.wants {
				if got := e.state(k); got != want {
					t.Fatalf("%s is settled and %s, want %s", k.ID, got, want)
				}
			}
		}
		if len(w.faults) > 0 {
			t.Fatal(strings.Join(w.faults, "\n"))
		}
	}})
}

type fenceStep struct {
	what      string
	who, pick int
}

// fenceWorld is a node, its agent, and two candidates.
type fenceWorld struct {
	t        *testing.T
	e        *env
	store    *status.Store
	agent    *writer // nil while it is dead
	stop     func()
	lease    clientv3.LeaseID // of its session, 0 for none
	wants    map[status.Key]status.State
	monitors [2]*candidate
	faults   []string
	starts   int
}

// candidate is a monitor that knows what it read, and not what happened since.
type candidate struct {
	lease   clientv3.LeaseID
	term    *status.Term
	remains status.Remains
}

func newFenceWorld(t *testing.T, e *env) *fenceWorld {
	w := &fenceWorld{t: t, e: e, store: status.NewStore(status.Config{Endpoints: []string{"http://" + e.address}, Prefix: e.prefix, Timeout: unhurried}, zap.NewNop()), wants: map[status.Key]status.State{}}
	for i := range 4 {
		w.wants[container(i)] = status.StateHealthy
	}
	for i := range w.monitors {
		w.monitors[i] = &candidate{}
	}
	w.start()
	return w
}

func (w *fenceWorld) end() {
	w.kill()
	for _, m := range w.monitors {
		w.revoke(m.lease)
	}
	_ = w.store.Close()
}

func (w *fenceWorld) fault(format string, args ...any) {
	w.faults = append(w.faults, fmt.Sprintf(format, args...))
}

func (w *fenceWorld) grant() clientv3.LeaseID {
	lease, err := w.e.server.Client().Grant(context.Background(), 600)
	if err != nil {
		w.t.Fatal(err)
	}
	return lease.ID
}

func (w *fenceWorld) revoke(lease clientv3.LeaseID) {
	if lease != 0 {
		_, _ = w.e.server.Client().Revoke(context.Background(), lease)
	}
}

func (w *fenceWorld) start() {
	if w.agent != nil {
		return
	}
	w.starts++
	w.agent = newWriter(w.t, w.store, identity(fmt.Sprintf("i%d", w.starts), "m1"))
	w.agent.SetAuditEvery(time.Hour) // what is corrected is corrected at once
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	agent := w.agent
	go func() { defer close(done); _ = agent.Run(ctx, adoptNothing) }()
	w.stop = func() { cancel(); <-done }
	for k, state := range w.wants {
		w.agent.set(k, state)
	}
	w.session()
}

func (w *fenceWorld) session() {
	if w.agent == nil || w.lease != 0 {
		return
	}
	w.lease = w.grant()
	w.agent.SetNode(status.Node{Nodename: "node1", Alive: true, Agent: status.NodeAgent{Machine: "m1"}}, int64(w.lease))
	w.agent.settle()
}

func (w *fenceWorld) kill() {
	if w.agent != nil {
		w.stop()
		w.agent = nil
	}
	w.revoke(w.lease)
	w.lease = 0
}

func (w *fenceWorld) take(s fenceStep) {
	m := w.monitors[s.who]
	switch s.what {
	case "kill":
		w.kill()
	case "start":
		w.start()
	case "lose session":
		w.revoke(w.lease)
		w.lease = 0
	case "get session":
		w.session()
	case "publish":
		if w.agent != nil {
			k := container(s.pick)
			w.wants[k] = map[bool]status.State{true: status.StateUnhealthy, false: status.StateHealthy}[w.wants[k] == status.StateHealthy]
			w.agent.set(k, w.wants[k])
			w.agent.settle()
		}
	case "succeed": // whoever it was is not told, and goes on with what it read
		for _, other := range w.monitors {
			if other != m || s.pick == 0 {
				w.revoke(other.lease)
				other.lease = 0
			}
		}
		w.elect(m, s.who)
		if m.term != nil {
			w.read(m)
		}
	case "expire": // it is not told
		w.revoke(m.lease)
		m.lease = 0
	case "read":
		if m.term != nil {
			w.read(m)
		}
	default:
		if m.term != nil && (m.remains.Node != "" || s.what == "resign") {
			w.write(m, s.what)
		}
	}
}

func (w *fenceWorld) elect(m *candidate, who int) {
	if m.lease == 0 {
		m.lease = w.grant()
	}
	if _, rev := w.e.get("/selfmon/active"); rev != 0 {
		return // it would wait
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	term, err := w.store.Elect(ctx, status.Monitor{Node: "n", Instance: fmt.Sprint(who, m.lease)}, int64(m.lease))
	if err != nil {
		w.t.Fatal(err)
	}
	*m = candidate{lease: m.lease, term: term}
}

func (w *fenceWorld) read(m *candidate) {
	r, err := m.term.Examine(context.Background(), "node1")
	if err != nil {
		w.t.Fatal(err)
	}
	keys, err := m.term.Scan(context.Background(), []string{"node1"})
	if err != nil {
		w.t.Fatal(err)
	}
	if m.remains, err = m.term.Read(context.Background(), r, keys["node1"]); err != nil {
		w.t.Fatal(err)
	}
}

// expected is what must come of a write, by what stands in etcd now.
func (w *fenceWorld) expected(m *candidate, entries []status.Entry) error {
	active, err := w.e.server.Client().Get(context.Background(), w.e.prefix+"/selfmon/active")
	if err != nil {
		w.t.Fatal(err)
	}
	if len(active.Kvs) == 0 || active.Kvs[0].CreateRevision != m.term.Revision() {
		return status.ErrOver
	}
	_, present := w.e.get("/status:node/node1")
	_, owner := w.e.get("/agent/node1")
	if present != 0 || owner != m.remains.OwnerRevision() {
		return status.ErrStirred
	}
	for _, entry := range entries {
		if _, rev := w.e.get(path(entry.Key)); rev != entry.Revision {
			return status.ErrStirred
		}
	}
	return nil
}

// write is what a monitor does with what it read, however long ago.
func (w *fenceWorld) write(m *candidate, what string) {
	entries := slices.Clone(m.remains.Statuses)
	state := status.StateLost
	switch what {
	case "cut half": // and dies then
		entries = entries[:len(entries)/2]
	case "mend":
		state = status.StateHealthy
	}
	for i := range entries {
		entries[i].Status.State, entries[i].Status.Reason = state, status.ReasonNodeLost
	}
	if what == "forget" || what == "resign" {
		entries = nil
	}
	want, before := w.expected(m, entries), w.e.revision()
	var err error
	switch {
	case what == "resign":
		m.term.Resign(context.Background())
		*m = candidate{lease: m.lease}
		return
	case what == "forget":
		err = m.term.Forget(context.Background(), m.remains)
	case len(entries) == 0:
		return
	default:
		err = m.term.Rewrite(context.Background(), m.remains, entries)
	}
	if !errors.Is(err, want) || (err == nil) != (want == nil) {
		w.fault("%s came to %v, want %v", what, err, want)
	}
	if after := w.e.revision(); err != nil && after != before {
		w.fault("%s failed, and changed something: revision %d, then %d", what, before, after)
	}
	if err == nil && what != "forget" {
		for i := range m.remains.Statuses[:len(entries)] {
			m.remains.Statuses[i] = entries[i]
		}
	}
}

// finish lets the agent come back, and then a new monitor find it dead: both end
// right, whatever came before.
func (w *fenceWorld) finish() {
	w.start()
	w.session()
	eventually(w.t, "the agent to have the last word", func() bool {
		for k, want := range w.wants {
			if w.e.state(k) != want {
				return false
			}
		}
		return true
	})
	w.kill()
	for i, m := range w.monitors {
		w.revoke(m.lease)
		m.lease = 0
		w.monitors[i] = m
	}
	last := &candidate{}
	w.elect(last, 9)
	w.read(last)
	w.write(last, "cut")
	for k := range w.wants {
		if got := w.e.state(k); got != status.StateLost {
			w.fault("the next monitor cut %s, and it is %s", k.ID, got)
		}
	}
	w.revoke(last.lease)
}
