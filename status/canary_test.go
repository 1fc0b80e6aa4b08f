package status_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/projecteru2/eru-agent/status"
)

func TestCanary(t *testing.T) {
	onBoth(t, map[string]func(*testing.T, *env){
		"it is written, taken and told of":     canaryTold,
		"it goes with the session":             canaryGoes,
		"a dead session's harms no node key":   deadCanary,
		"an earlier agent's is no foreigner's": canaryOfBefore,
		"it is followed over a gap":            canaryOverGap,
	})
}

// ear is what has been told of canaries.
type ear struct {
	mu    sync.Mutex
	told  []status.Canary
	taken []status.Taken
}

func (r *ear) hear(c status.Canary) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = append(r.told, c)
}

func (r *ear) take(taken status.Taken) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taken = append(r.taken, taken)
}

func (r *ear) heard(seq uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.told) > 0 && r.told[len(r.told)-1].Seq == seq
}

// followCanary follows node1's, and has set write it anew until it is heard: what came before the watch stood is not.
func (e *env) followCanary(s *status.Store, r *ear, set func(seq uint64)) uint64 {
	e.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = s.FollowCanary(ctx, "node1", r.hear) }()
	e.t.Cleanup(func() { cancel(); <-done })
	seq := uint64(0)
	eventually(e.t, "the canary to be followed", func() bool {
		r.mu.Lock()
		heard := len(r.told) > 0
		r.mu.Unlock()
		if !heard {
			seq++
			set(seq)
		}
		return heard
	})
	return seq
}

func canary(seq uint64) status.Canary {
	return status.Canary{State: status.StateUnhealthy, Seq: seq, At: moment}
}

func canaryTold(t *testing.T, e *env) {
	var r ear
	start := e.revision()
	w := newWriter(t, e.store(unhurried), identity("i1", "m1"))
	w.Tell(r.take)
	w.run(adoptNothing)
	lease := e.grant()
	seq := e.followCanary(e.store(unhurried), &r, func(seq uint64) { w.SetCanary(canary(seq), int64(lease)); w.settle() }) + 1
	before := e.revision()
	w.SetCanary(canary(seq), int64(lease))
	w.settle()
	eventually(t, "it to be told", func() bool { return r.heard(seq) })
	value, rev := e.get("/canary/node1")
	want := fmt.Sprintf(`{"state":"unhealthy","seq":%d,"at":"2024-02-29T12:30:15.123456789Z"}`, seq)
	if value != want || rev != before+1 {
		t.Errorf("it is %s at revision %d, want %s at %d", value, rev, want, before+1)
	}
	left, err := e.server.Client().TimeToLive(context.Background(), lease, clientv3.WithAttachedKeys())
	if err != nil || len(left.Keys) != 1 {
		t.Errorf("on the lease hang %q, %v", left.Keys, err)
	}
	r.mu.Lock()
	last, told := r.taken[len(r.taken)-1], r.told[len(r.told)-1]
	r.mu.Unlock()
	if !last.Canary || last.Step != seq || last.Revision != rev || last.Key != (status.Key{}) || !told.At.Equal(moment) {
		t.Errorf("taken is %+v, told is %+v", last, told)
	}
	if steps := e.history(start); len(steps) > 0 {
		t.Errorf("containers changed: %+v", steps)
	}
	w.SetCanary(canary(seq), int64(lease)) // no news
	w.settle()
	if _, again := e.get("/canary/node1"); again != rev {
		t.Error("it was written again")
	}
}

func canaryGoes(t *testing.T, e *env) {
	w := audited(t, e, 1)
	lease := live(t, e, w, "m1")
	w.SetCanary(canary(1), int64(lease))
	w.settle()
	e.revoke(lease)
	if value, rev := e.get("/canary/node1"); rev != 0 {
		t.Errorf("it is still there: %s", value)
	}
	w.SetCanary(canary(2), int64(live(t, e, w, "m1")))
	w.settle()
	if value, _ := e.get("/canary/node1"); value == "" {
		t.Error("it does not come back with the next session")
	}
	if n := w.metric("publish_foreign_total") + w.metric("publish_errors_total"); n != 0 {
		t.Errorf("%v foreign changes and errors", n)
	}
}

// deadCanary wants both before anything can be written, so that one transaction would have room for them.
func deadCanary(t *testing.T, e *env) {
	w := newWriter(t, e.store(unhurried), identity("i1", "m1"))
	w.SetCanary(canary(1), 12345)
	w.SetNode(status.Node{Nodename: "node1", Alive: true}, int64(e.grant()))
	w.run(adoptNothing)
	w.settle()
	if _, rev := e.get("/status:node/node1"); rev == 0 {
		t.Error("the node's key is not there")
	}
	if value, rev := e.get("/canary/node1"); rev != 0 {
		t.Errorf("the canary was written without its lease: %s", value)
	}
}

func canaryOfBefore(t *testing.T, e *env) {
	e.put("/canary/node1", `{"state":"healthy","seq":7,"at":"2024-02-29T12:30:15Z"}`)
	w := newWriter(t, e.store(unhurried), identity("i1", "m1"))
	w.SetAuditEvery(time.Millisecond)
	w.run(adoptNothing)
	w.settle()
	w.SetCanary(canary(1), int64(e.grant()))
	w.settle()
	if value, _ := e.get("/canary/node1"); value == "" || value[:20] != `{"state":"unhealthy"` {
		t.Errorf("it is %s", value)
	}
	if n := w.metric("publish_foreign_total"); n != 0 {
		t.Errorf("%v foreign changes", n)
	}
}

// canaryOverGap loses the watch, and all but the last of what happened meanwhile is compacted away.
func canaryOverGap(t *testing.T, e *env) {
	proxy := e.proxy()
	var r ear
	set := func(seq uint64) {
		e.put("/canary/node1", fmt.Sprintf(`{"state":"healthy","seq":%d,"at":"2024-02-29T12:30:15Z"}`, seq))
	}
	seq := e.followCanary(e.store(hasty), &r, set) + 1
	proxy.Cut()
	e.put("/canary/node10", `{"state":"healthy","seq":99,"at":"2024-02-29T12:30:15Z"}`) // another node's
	e.put("/canary/node1", "nonsense")
	set(seq)
	if _, err := e.server.Client().Compact(context.Background(), e.revision()); err != nil {
		t.Fatal(err)
	}
	proxy.Resume()
	eventually(t, "what was written meanwhile", func() bool { return r.heard(seq) })
}
