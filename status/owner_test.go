package status_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

func TestOwner(t *testing.T) {
	onBoth(t, map[string]func(*testing.T, *env){
		"a newer instance fences the older":            newerFences,
		"an idle instance finds out that it is fenced": idleFenced,
		"an idle instance need not wait for its audit": idleTold,
		"an idle instance is told after a compaction":  guardAfterCompaction,
		"a live owner on another machine keeps it":     liveOwnerKeeps,
		"a dead owner on another machine loses it":     deadOwnerLoses,
		"an owner that said stopping loses it":         stoppingOwnerLoses,
		"what is found is adopted first":               adoptsFirst,
		"a failed adoption is tried again":             adoptsAgain,
		"a spoilt owner record is replaced":            spoiltOwner,
		"an older sequence means writing all again":    olderSequence,
		"a dead predecessor from a backup fences not":  deadPredecessor,
	})
}

func newerFences(t *testing.T, e *env) {
	older := newWriter(t, e.store(unhurried), identity("older", "m1"))
	older.run(adoptNothing)
	older.set(container(1), status.StateHealthy)
	older.settle()
	newer := newWriter(t, e.store(unhurried), identity("newer", "m1"))
	var found []status.Found
	newer.run(func(_ context.Context, f []status.Found) error { found = f; return nil })
	newer.settle()
	if len(found) != 1 || found[0].Key != container(1) || found[0].Status.State != status.StateHealthy {
		t.Errorf("found %+v", found)
	}
	older.set(container(1), status.StateUnhealthy)
	err := older.end()
	want := `fenced: instance "newer" (version v-newer) on machine "m1" has taken over node "node1" from this one`
	if !errors.Is(err, status.ErrFenced) || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("the older ended with %v, want %s", err, want)
	}
	if got := e.state(container(1)); got != status.StateHealthy {
		t.Errorf("the older wrote %q", got)
	}
	newer.set(container(1), status.StateDraining)
	newer.settle()
}

func idleFenced(t *testing.T, e *env) {
	older := newWriter(t, e.store(unhurried), identity("older", "m1"))
	older.SetAuditEvery(10 * time.Millisecond)
	older.run(adoptNothing) // it has no keys at all
	older.settle()
	newer := newWriter(t, e.store(unhurried), identity("newer", "m2")) // the older holds no session
	newer.run(adoptNothing)
	if err := older.end(); !errors.Is(err, status.ErrFenced) || !strings.Contains(err.Error(), `machine "m2"`) {
		t.Errorf("ended with %v", err)
	}
}

// idleTold is the same with an audit that comes too late for the test.
func idleTold(t *testing.T, e *env) {
	older := newWriter(t, e.store(unhurried), identity("older", "m1"))
	older.SetAuditEvery(time.Hour)
	older.run(adoptNothing)
	older.settle()
	newWriter(t, e.store(unhurried), identity("newer", "m1")).run(adoptNothing)
	if err := older.end(); !errors.Is(err, status.ErrFenced) {
		t.Errorf("ended with %v", err)
	}
}

// live makes w hold the node's session, and returns the lease.
func live(t *testing.T, e *env, w *writer, machine string) clientv3.LeaseID {
	t.Helper()
	lease, err := e.server.Client().Grant(context.Background(), 600)
	if err != nil {
		t.Fatal(err)
	}
	w.SetNode(status.Node{Nodename: "node1", Alive: true, Agent: status.NodeAgent{Machine: machine}}, int64(lease.ID))
	w.settle()
	return lease.ID
}

func (e *env) revoke(lease clientv3.LeaseID) {
	e.t.Helper()
	if _, err := e.server.Client().Revoke(context.Background(), lease); err != nil {
		e.t.Fatal(err)
	}
}

func liveOwnerKeeps(t *testing.T, e *env) {
	one := newWriter(t, e.store(unhurried), identity("one", "m1"))
	one.run(adoptNothing)
	live(t, e, one, "m1")
	_, before := e.get("/agent/node1")
	two := newWriter(t, e.store(unhurried), identity("two", "m2"))
	two.run(adoptNothing)
	err := two.end()
	want := `node name is taken: node "node1" is held by a live agent on machine "m1", this one is "m2"; stop that agent, or set another node name here`
	if !errors.Is(err, status.ErrHeld) || err.Error() != want {
		t.Errorf("ended with %v, want %s", err, want)
	}
	if _, after := e.get("/agent/node1"); after != before {
		t.Error("the owner record was touched")
	}
	// On the same machine it is the same node.
	three := newWriter(t, e.store(unhurried), identity("three", "m1"))
	three.run(adoptNothing)
	three.settle()
}

func deadOwnerLoses(t *testing.T, e *env) {
	one := newWriter(t, e.store(unhurried), identity("one", "m1"))
	stop := one.run(adoptNothing)
	lease := live(t, e, one, "m1")
	stop()
	e.revoke(lease)
	two := newWriter(t, e.store(unhurried), identity("two", "m2"))
	two.run(adoptNothing)
	two.settle()
	if owner, _ := e.get("/agent/node1"); !strings.Contains(owner, `"instance":"two"`) {
		t.Errorf("owner %s", owner)
	}
}

// stoppingOwnerLoses moves a node name to another machine after a clean stop,
// before the session has run out.
func stoppingOwnerLoses(t *testing.T, e *env) {
	one := newWriter(t, e.store(unhurried), identity("one", "m1"))
	stop := one.run(adoptNothing)
	lease := live(t, e, one, "m1")
	one.SetNode(status.Node{Nodename: "node1", Alive: true, Agent: status.NodeAgent{Machine: "m1", State: status.NodeStopping}}, int64(lease))
	one.settle()
	stop()
	two := newWriter(t, e.store(unhurried), identity("two", "m2"))
	two.run(adoptNothing)
	two.settle()
	if owner, _ := e.get("/agent/node1"); !strings.Contains(owner, `"instance":"two"`) {
		t.Errorf("owner %s", owner)
	}
}

func adoptsFirst(t *testing.T, e *env) {
	const others = 12000 // more than a page of the tree
	one := newWriter(t, e.store(unhurried), identity("one", "m1"))
	stop := one.run(adoptNothing)
	for n := range 3 {
		one.set(container(n), status.StateHealthy)
	}
	one.settle()
	stop()
	for n := range others / 100 {
		var ops []clientv3.Op
		for m := range 100 {
			k := container(n*100 + m)
			k.Node = "node2"
			ops = append(ops, clientv3.OpPut(e.prefix+path(k), "{}"))
		}
		if _, err := e.server.Client().Txn(context.Background()).Then(ops...).Commit(); err != nil {
			t.Fatal(err)
		}
	}
	e.put(path(container(1)), "spoilt")
	e.put("/status/a/b/node1", "no container's key")

	two := newWriter(t, e.store(unhurried), identity("two", "m1"))
	two.set(container(0), status.StateUnhealthy)
	adopting, adopted := make(chan []status.Found), make(chan struct{})
	two.run(func(_ context.Context, found []status.Found) error {
		adopting <- found
		<-adopted
		for _, f := range found {
			if f.Key == container(2) {
				two.Retire(f.Key)
			}
		}
		return nil
	})
	found := map[status.Key]status.State{}
	for _, f := range <-adopting {
		found[f.Key] = f.Status.State
	}
	want := map[status.Key]status.State{container(0): status.StateHealthy, container(1): "", container(2): status.StateHealthy}
	if !maps.Equal(found, want) {
		t.Errorf("found %v, want %v", found, want)
	}
	before := e.revision()
	two.set(container(1), status.StateHealthy)
	if got := e.state(container(0)); got != status.StateHealthy {
		t.Errorf("written before it was adopted: %q", got)
	}
	close(adopted)
	two.settle()
	var ids []string
	for _, s := range e.history(before) {
		ids = append(ids, s.id+" "+string(s.state))
	}
	slices.Sort(ids)
	if want := []string{"c0000 unhealthy", "c0001 healthy", "c0002 "}; !slices.Equal(ids, want) {
		t.Errorf("written: %q, want %q", ids, want)
	}
	if n := two.metric("publish_foreign_total"); n != 0 {
		t.Errorf("%v foreign changes", n)
	}
}

func adoptsAgain(t *testing.T, e *env) {
	w := newWriter(t, e.store(unhurried), identity("i1", "m1"))
	w.set(container(1), status.StateHealthy)
	var calls atomic.Int32
	w.run(func(context.Context, []status.Found) error {
		if calls.Add(1) == 1 {
			return errors.New("not yet")
		}
		if got := e.state(container(1)); got != "" {
			t.Errorf("written after a failed adoption: %q", got)
		}
		return nil
	})
	w.settle()
	if n := calls.Load(); n != 2 {
		t.Errorf("adopt was called %d times", n)
	}
}

func spoiltOwner(t *testing.T, e *env) {
	e.put("/agent/node1", "spoilt")
	e.put("/status:node/node1", "spoilt")
	w := newWriter(t, e.store(unhurried), identity("i1", "m1"))
	w.run(adoptNothing)
	w.set(container(1), status.StateHealthy)
	w.settle()
	e.put("/agent/node1", "spoilt again")
	w.set(container(1), status.StateUnhealthy)
	w.settle()
	if got := e.state(container(1)); got != status.StateUnhealthy {
		t.Errorf("state %q", got)
	}
}

// restore brings the node's keys back to the old values, as a restored backup
// does.
func restore(t *testing.T, e *env, owner string, old map[status.Key]string) {
	t.Helper()
	e.delete("/", clientv3.WithPrefix())
	if owner != "" {
		e.put("/agent/node1", owner)
	}
	for k, v := range old {
		e.put(path(k), v)
	}
}

func olderSequence(t *testing.T, e *env) {
	for _, owner := range []bool{true, false} {
		e.delete("/", clientv3.WithPrefix())
		w := newWriter(t, e.store(unhurried), identity("i1", "m1"))
		w.SetAuditEvery(10 * time.Millisecond)
		adopted := make(chan []status.Found, 10)
		stop := w.run(func(_ context.Context, f []status.Found) error { adopted <- f; return nil })
		<-adopted
		w.set(container(1), status.StateHealthy)
		w.settle()
		record, _ := e.get("/agent/node1")
		if !owner {
			record = ""
		}
		value, _ := e.get(path(container(1)))
		w.set(container(1), status.StateUnhealthy)
		w.set(container(2), status.StateHealthy)
		w.settle()
		restore(t, e, record, map[status.Key]string{container(1): value, container(3): value})
		if found := <-adopted; len(found) != 2 {
			t.Errorf("found %+v", found)
		}
		eventually(t, "everything is written again", func() bool {
			return e.state(container(1)) == status.StateUnhealthy && e.state(container(2)) == status.StateHealthy
		})
		stop()
	}
}

func deadPredecessor(t *testing.T, e *env) {
	one := newWriter(t, e.store(unhurried), identity("one", "m1"))
	stop := one.run(adoptNothing)
	one.set(container(1), status.StateHealthy)
	one.settle()
	stop()
	record, _ := e.get("/agent/node1")
	value, _ := e.get(path(container(1)))
	two := newWriter(t, e.store(unhurried), identity("two", "m1"))
	two.run(adoptNothing)
	two.set(container(1), status.StateUnhealthy)
	two.settle()
	restore(t, e, record, map[status.Key]string{container(1): value})
	two.set(container(2), status.StateHealthy)
	eventually(t, "the living writes again", func() bool {
		return e.state(container(1)) == status.StateUnhealthy && e.state(container(2)) == status.StateHealthy
	})
}

// TestWiped loses all of a server's data under an idle writer and a reader.
func TestWiped(t *testing.T) {
	for name, start := range map[string]func(testing.TB, ...etcdtest.Option) *etcdtest.Server{"embedded": etcdtest.Start, "process": etcdtest.StartProcess} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			e := &env{t: t, server: s, prefix: "/eru", address: s.Address()}
			for range 20 { // the new store shall be younger for a while
				e.put("/other", "")
			}
			w := newWriter(t, e.store(hasty), identity("i1", "m1"))
			w.SetAuditEvery(20 * time.Millisecond)
			w.run(adoptNothing)
			for n := range 3 {
				w.set(container(n), status.StateHealthy)
			}
			w.settle()
			reader := e.store(hasty)
			reader.SetLookEvery(20 * time.Millisecond)
			r := follow(t, reader)
			r.until("all are told", func() bool { return len(r.view.Containers) == 3 })
			s.Wipe()
			s.Restart()
			eventually(t, "everything is written again", func() bool {
				return e.state(container(0)) != "" && e.state(container(1)) != "" && e.state(container(2)) != ""
			})
			w.set(container(1), status.StateUnhealthy)
			r.until("the reader hears of it", func() bool {
				return r.view.Containers[container(1)].Status.State == status.StateUnhealthy
			})
			if len(r.deleted) != 0 {
				t.Errorf("told as deleted: %v", r.deleted)
			}
		})
	}
}
