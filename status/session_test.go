package status_test

import (
	"context"
	"errors"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/projecteru2/eru-agent/status"
)

func TestSession(t *testing.T) {
	onBoth(t, map[string]func(*testing.T, *env){
		"a lost one is told":                    lostSession,
		"the end of ctx leaves the lease":       leaseOutlives,
		"frozen etcd ends it":                   frozenSession,
		"its end harms no status":               harmsNoStatus,
		"a dead lease does not block statuses":  deadLease,
		"an unreachable etcd is told as such":   unreachable,
		"a new session takes over the node key": newSession,
	})
}

// holding is a session under test.
type holding struct {
	lease int64
	ended chan error
	end   context.CancelFunc
}

func hold(t *testing.T, s *status.Store, ttl time.Duration) holding {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	h := holding{ended: make(chan error, 1), end: cancel}
	up, done := make(chan int64, 1), make(chan struct{})
	go func() {
		defer close(done)
		h.ended <- s.Hold(ctx, ttl, func(lease int64) { up <- lease })
	}()
	t.Cleanup(func() { cancel(); <-done })
	select {
	case h.lease = <-up:
	case err := <-h.ended:
		t.Fatalf("no session: %v", err)
	}
	return h
}

func (h holding) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-h.ended:
		return err
	case <-time.After(patience):
		t.Fatal("the session did not end")
		return nil
	}
}

// still holds that the session has not ended.
func (h holding) still(t *testing.T) {
	t.Helper()
	select {
	case err := <-h.ended:
		t.Errorf("the session ended with %v", err)
	default:
	}
}

func lostSession(t *testing.T, e *env) {
	h := hold(t, e.store(unhurried), 2*time.Second)
	e.revoke(clientv3.LeaseID(h.lease))
	if err := h.wait(t); !errors.Is(err, status.ErrSessionLost) {
		t.Errorf("ended with %v", err)
	}
}

func leaseOutlives(t *testing.T, e *env) {
	h := hold(t, e.store(unhurried), time.Minute)
	h.end()
	if err := h.wait(t); err != nil {
		t.Errorf("ended with %v", err)
	}
	left, err := e.server.Client().TimeToLive(context.Background(), clientv3.LeaseID(h.lease))
	if err != nil || left.TTL <= 0 {
		t.Errorf("the lease has %+v, %v", left, err)
	}
	e.revoke(clientv3.LeaseID(h.lease))
}

func frozenSession(t *testing.T, e *env) {
	proxy := e.proxy()
	h := hold(t, e.store(hasty), 2*time.Second)
	proxy.Hold()
	if err := h.wait(t); !errors.Is(err, status.ErrSessionLost) {
		t.Errorf("ended with %v", err)
	}
}

func harmsNoStatus(t *testing.T, e *env) {
	w := audited(t, e, 2)
	before := e.revision()
	lease := live(t, e, w, "m1")
	e.revoke(lease)
	w.set(container(0), status.StateHealthy)
	w.settle()
	live(t, e, w, "m1")
	steps := e.history(before)
	if len(steps) != 1 || steps[0].state != status.StateHealthy {
		t.Errorf("statuses changed: %+v", steps)
	}
}

func deadLease(t *testing.T, e *env) {
	w := newWriter(t, e.store(unhurried), identity("i1", "m1"))
	for n := range 200 {
		w.set(container(n), status.StateHealthy)
	}
	w.SetNode(status.Node{Nodename: "node1", Alive: true}, 12345)
	w.run(adoptNothing)
	w.settle()
	w.set(container(0), status.StateUnhealthy)
	w.settle()
	if got := e.state(container(0)); got != status.StateUnhealthy {
		t.Errorf("state %q", got)
	}
	if _, rev := e.get("/status:node/node1"); rev != 0 {
		t.Error("the node's key was written without a lease")
	}
	if n := w.metric("publish_errors_total"); n != 0 {
		t.Errorf("%v errors", n)
	}
}

func newSession(t *testing.T, e *env) {
	w := audited(t, e, 0)
	old := live(t, e, w, "m1")
	live(t, e, w, "m1")
	e.revoke(old)
	if _, rev := e.get("/status:node/node1"); rev == 0 {
		t.Error("the node's key went with the old session")
	}
}

func unreachable(t *testing.T, e *env) {
	e.proxy().Cut()
	err := e.store(hasty).Hold(t.Context(), time.Second, func(int64) { t.Error("a session without etcd") })
	if err == nil || errors.Is(err, status.ErrSessionLost) {
		t.Errorf("got %v", err)
	}
}
