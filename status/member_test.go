package status_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// TestMemberLost holds that a member of three which is of no use, and does not say so, neither stops the writing nor ends
// the session.
func TestMemberLost(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("a cluster whose members fail one by one needs root")
	}
	cluster := etcdtest.StartCluster(t, "etcd", 3, 16<<20)
	store := newStore(t, status.Config{Endpoints: strings.Split(cluster.Endpoints(), ","), Prefix: "/eru", Timeout: 3 * time.Second})
	used := func() *etcdtest.Member {
		return cluster.Members[slices.IndexFunc(cluster.Members, func(m *etcdtest.Member) bool { return m.Endpoint() == store.Member() })]
	}
	w := newWriter(t, store, identity("i1", "m1"))
	w.run(adoptNothing)
	w.set(container(0), status.StateHealthy)
	w.settle()

	apart := used()
	apart.CutPeers()
	w.set(container(0), status.StateUnhealthy)
	w.settle()
	apart.Heal()
	cluster.Leader()

	h := hold(t, store, 8*time.Second)
	used().Freeze()
	select {
	case err := <-h.ended:
		t.Fatalf("one of three members does not answer, and the session ended: %v", err)
	case <-time.After(11 * time.Second): // the fault itself, with nothing written meanwhile
	}
	w.set(container(0), status.StateHealthy)
	w.settle()
}

// guardAfterCompaction lets what the owner's guard listens to be compacted while it is away.
func guardAfterCompaction(t *testing.T, e *env) {
	direct := e.address
	proxy := e.proxy()
	w := published(t, e, 1)
	proxy.Cut()
	for range 3 {
		e.put("/elsewhere", "changed")
	}
	if _, err := e.server.Client().Compact(context.Background(), e.revision()); err != nil {
		t.Fatal(err)
	}
	proxy.Resume()
	e.address = direct
	newer := newWriter(t, e.store(unhurried), identity("i2", "m1"))
	newer.run(adoptNothing)
	if err := w.end(); !errors.Is(err, status.ErrFenced) {
		t.Errorf("ended with %v", err)
	}
}
