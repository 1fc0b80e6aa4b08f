package status_test

import (
	"context"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/projecteru2/eru-agent/status"
)

func TestOutage(t *testing.T) {
	onBoth(t, map[string]func(*testing.T, *env){
		"only the newest is written after it":     newestOnly,
		"an unheard answer is not written again":  unheardAnswer,
		"a lost write cannot land later":          lostWrite,
		"a lost write of the dead leaves nothing": lostWriteOfDead,
		"what hangs never wins":                   hangingNeverWins,
	})
}

// published returns a running writer that has published n healthy containers
// through the proxy.
func published(t *testing.T, e *env, n int) *writer {
	t.Helper()
	w := newWriter(t, e.store(hasty), identity("i1", "m1"))
	w.run(adoptNothing)
	for i := range n {
		w.set(container(i), status.StateHealthy)
	}
	w.settle()
	return w
}

func newestOnly(t *testing.T, e *env) {
	proxy := e.proxy()
	w := published(t, e, 5)
	before := e.revision()
	proxy.Cut()
	for range 100 {
		for i := range 5 {
			w.set(container(i), status.StateUnhealthy)
			w.set(container(i), status.StateHealthy)
			w.set(container(i), status.StateDraining)
		}
	}
	errors := w.metric("publish_errors_total")
	eventually(t, "a failure", func() bool { return w.metric("publish_errors_total") > errors })
	if got := e.history(before); len(got) != 0 {
		t.Errorf("written through a cut connection: %+v", got)
	}
	before = e.revision()
	proxy.Resume()
	w.settle()
	steps := e.history(before)
	for _, s := range steps {
		if s.state != status.StateDraining {
			t.Errorf("wrote %+v", s)
		}
	}
	if len(steps) != 5 {
		t.Errorf("%d writes for 5 containers: %+v", len(steps), steps)
	}
}

func unheardAnswer(t *testing.T, e *env) {
	proxy := e.proxy()
	w := published(t, e, 1)
	before := e.revision()
	errors := w.metric("publish_errors_total")
	proxy.Mute()
	w.set(container(0), status.StateUnhealthy)
	eventually(t, "the write lands", func() bool { return e.state(container(0)) == status.StateUnhealthy })
	eventually(t, "the write times out", func() bool { return w.metric("publish_errors_total") > errors })
	if w.Settled() {
		t.Error("settled without an answer")
	}
	proxy.Resume()
	w.settle()
	if steps := e.history(before); len(steps) != 1 {
		t.Errorf("written again: %+v", steps)
	}
	if n := w.metric("publish_foreign_total"); n != 0 {
		t.Errorf("its own write was taken for that of another: %v", n)
	}
}

// stray is a transaction of the writer that still travels.
func stray(e *env, then ...clientv3.Op) func() bool {
	_, rev := e.get("/agent/node1")
	return func() bool {
		e.t.Helper()
		resp, err := e.server.Client().Txn(context.Background()).
			If(clientv3.Compare(clientv3.ModRevision(e.prefix+"/agent/node1"), "=", rev)).Then(then...).Commit()
		if err != nil {
			e.t.Fatal(err)
		}
		return resp.Succeeded
	}
}

// lose makes the write of change time out, and drops it on the way.
func lose(t *testing.T, proxy interface{ Hold() }, w *writer, change func()) {
	t.Helper()
	errors := w.metric("publish_errors_total")
	proxy.Hold()
	change()
	eventually(t, "the write times out", func() bool { return w.metric("publish_errors_total") > errors })
}

func lostWrite(t *testing.T, e *env) {
	proxy := e.proxy()
	w := published(t, e, 1)
	k := container(0)
	land := stray(e, clientv3.OpPut(e.prefix+path(k), string(in(status.StateUnhealthy, k).Encode(9))))
	lose(t, proxy, w, func() { w.set(k, status.StateUnhealthy) })
	// The container is well again before etcd is back: nothing differs from what
	// stands there, so nothing has to be written.
	w.set(k, status.StateHealthy)
	proxy.Cut()
	proxy.Resume()
	w.settle()
	if land() || e.state(k) != status.StateHealthy {
		t.Errorf("the lost write landed later, and a healthy container is %q", e.state(k))
	}
}

func lostWriteOfDead(t *testing.T, e *env) {
	proxy := e.proxy()
	w := published(t, e, 1)
	k := container(1)
	land := stray(e, clientv3.OpPut(e.prefix+path(k), string(in(status.StateStarting, k).Encode(9))))
	lose(t, proxy, w, func() { w.set(k, status.StateStarting) })
	w.set(k, status.StateStopped)
	w.Retire(k)
	proxy.Cut()
	proxy.Resume()
	w.settle()
	if land() || e.state(k) != "" {
		t.Errorf("the lost write landed later, and a container that is gone is %q", e.state(k))
	}
}

// hangingNeverWins lets real transactions hang and land when they will.
func hangingNeverWins(t *testing.T, e *env) {
	proxy := e.proxy()
	w := published(t, e, 3)
	before := e.revision()
	for round := range 8 {
		lose(t, proxy, w, func() { w.set(container(round%3), status.StateUnhealthy) })
		w.set(container(round%3), status.StateHealthy)
		if round%2 == 0 {
			w.set(container((round+1)%3), status.StateDraining)
		}
		proxy.Resume() // what hung goes first
		w.set(container((round+1)%3), status.StateHealthy)
		w.settle()
		for i := range 3 {
			if got := e.state(container(i)); got != status.StateHealthy {
				t.Fatalf("round %d: settled, and container %d is %q", round, i, got)
			}
		}
	}
	last := map[string]uint64{}
	for _, s := range e.history(before) {
		if s.seq <= last[s.id] {
			t.Errorf("%s: sequence %d after %d", s.id, s.seq, last[s.id])
		}
		last[s.id] = s.seq
	}
	for i := range 3 {
		if got := e.state(container(i)); got != status.StateHealthy {
			t.Errorf("in the end container %d is %q", i, got)
		}
	}
}

// TestPassersBy lets containers come and go while etcd is away: nothing of them
// is kept.
func TestPassersBy(t *testing.T) {
	store := newStore(t, status.Config{Endpoints: []string{"127.0.0.1:1"}, Prefix: "/eru", Timeout: 100 * time.Millisecond})
	w := newWriter(t, store, identity("one", "m1"))
	w.run(adoptNothing)
	for n := range 1000 {
		w.set(container(n), status.StateHealthy)
		w.set(container(n), status.StateStopped)
		w.Retire(container(n))
	}
	w.set(container(1000), status.StateHealthy)
	eventually(t, "all but the container that lives is forgotten", func() bool { return w.Kept() == 1 })
}
