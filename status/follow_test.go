package status_test

import (
	"context"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/projecteru2/eru-agent/status"
)

func TestFollow(t *testing.T) {
	onBoth(t, map[string]func(*testing.T, *env){
		"what stands there and what changes":  tellsAll,
		"compaction while cut off":            compactedAway,
		"an unreadable value changes nothing": unreadable,
		"an empty read removes nothing":       emptyRead,
		"more than a page":                    manyPages,
		"etcd is away":                        awayAtFirst,
	})
}

// reader keeps what Follow tells. Its fields belong to the test's goroutine.
type reader struct {
	t       *testing.T
	changes chan status.Change
	view    status.Tree
	deleted []status.Key
	puts    int
	synced  int
	lost    []error
}

func follow(t *testing.T, s *status.Store) *reader {
	t.Helper()
	r := &reader{t: t, changes: make(chan status.Change), view: status.Tree{Containers: map[status.Key]status.Entry{}, Nodes: map[string]status.Node{}}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := s.Follow(ctx, func(c status.Change) {
			select {
			case r.changes <- c:
			case <-ctx.Done():
			}
		})
		if err != nil {
			t.Errorf("Follow returned %v", err)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return r
}

// until takes changes until ok.
func (r *reader) until(what string, ok func() bool) {
	r.t.Helper()
	deadline := time.After(patience)
	for !ok() {
		select {
		case c := <-r.changes:
			r.take(c)
		case <-deadline:
			r.t.Fatalf("waited in vain: %s; lost %v", what, r.lost)
		}
	}
}

func (r *reader) take(c status.Change) {
	switch {
	case c.Put != nil:
		r.puts++
		r.view.Containers[c.Put.Key] = *c.Put
	case c.Deleted != nil:
		r.deleted = append(r.deleted, *c.Deleted)
		delete(r.view.Containers, *c.Deleted)
	case c.NodeUp != nil:
		r.view.Nodes[c.NodeUp.Nodename] = *c.NodeUp
	case c.NodeGone != "":
		delete(r.view.Nodes, c.NodeGone)
	case c.Synced:
		r.synced++
	case c.Lost != nil:
		r.lost = append(r.lost, c.Lost)
	default:
		r.t.Error("told of nothing")
	}
}

func (e *env) putStatus(n int, state status.State) {
	e.put(path(container(n)), string(in(state, container(n)).Encode(1)))
}

const nodeValue = `{"Nodename":"node1","Alive":true,"agent":{"machine":"m1"}}`

func tellsAll(t *testing.T, e *env) {
	e.putStatus(1, status.StateHealthy)
	e.put("/status:node/node1", nodeValue)
	e.put("/agent/node1", "none of a reader's business")
	r := follow(t, e.store(unhurried))
	r.until("synced", func() bool { return r.synced == 1 })
	if r.view.Containers[container(1)].Status.State != status.StateHealthy || !r.view.Nodes["node1"].Alive || r.puts != 1 {
		t.Errorf("known: %+v", r.view)
	}
	listed, err := e.store(unhurried).List(t.Context())
	if err != nil || len(listed.Containers) != 1 || len(listed.Nodes) != 1 {
		t.Errorf("listed %+v, %v", listed, err)
	}
	e.putStatus(1, status.StateUnhealthy)
	e.put("/status:node/node2", nodeValue)
	r.until("a change and a node", func() bool {
		return r.view.Containers[container(1)].Status.State == status.StateUnhealthy && r.view.Nodes["node2"].Nodename == "node2"
	})
	e.delete(path(container(1)))
	e.delete("/status:node/node1")
	r.until("two deletions", func() bool { return len(r.deleted) == 1 && len(r.view.Nodes) == 1 })
	if len(r.lost) != 0 || r.synced != 1 {
		t.Errorf("synced %d times, lost %v", r.synced, r.lost)
	}
}

// behind makes a follower's way end, changes what stands in etcd, and lets it
// find out when the changes themselves are compacted away.
func behind(t *testing.T, e *env, r *reader, proxy interface {
	Cut()
	Resume()
}, change func()) {
	t.Helper()
	synced := r.synced
	proxy.Cut()
	change()
	e.put("/other", "")
	e.put("/other", "")
	if _, err := e.server.Client().Compact(context.Background(), e.revision()); err != nil {
		t.Fatal(err)
	}
	proxy.Resume()
	r.until("synced again", func() bool { return r.synced > synced })
}

func compactedAway(t *testing.T, e *env) {
	proxy := e.proxy()
	for n := range 4 {
		e.putStatus(n, status.StateHealthy)
	}
	e.put("/status:node/node1", nodeValue)
	r := follow(t, e.store(unhurried))
	r.until("synced", func() bool { return r.synced == 1 })
	puts := r.puts
	behind(t, e, r, proxy, func() {
		e.delete(path(container(1)))
		e.putStatus(2, status.StateUnhealthy)
		e.putStatus(9, status.StateStarting)
		e.delete("/status:node/node1")
	})
	if len(r.lost) == 0 || r.puts != puts+2 || len(r.deleted) != 1 || r.deleted[0] != container(1) || len(r.view.Nodes) != 0 {
		t.Errorf("told %d puts, deleted %v, nodes %v, lost %v", r.puts-puts, r.deleted, r.view.Nodes, r.lost)
	}
	if r.view.Containers[container(2)].Status.State != status.StateUnhealthy || r.view.Containers[container(9)].Status.State != status.StateStarting {
		t.Errorf("known: %+v", r.view.Containers)
	}
	e.putStatus(0, status.StateDraining)
	r.until("the watch goes on", func() bool { return r.view.Containers[container(0)].Status.State == status.StateDraining })
}

func unreadable(t *testing.T, e *env) {
	proxy := e.proxy()
	e.putStatus(1, status.StateHealthy)
	e.putStatus(2, status.StateHealthy)
	e.put("/status:node/node1", nodeValue)
	r := follow(t, e.store(unhurried))
	r.until("synced", func() bool { return r.synced == 1 })
	e.put(path(container(1)), "spoilt")
	e.put("/status:node/node1", "spoilt")
	e.putStatus(2, status.StateDraining)
	r.until("what came after", func() bool { return r.view.Containers[container(2)].Status.State == status.StateDraining })
	// Nor does a new list, where it stands as the only value.
	behind(t, e, r, proxy, func() { e.putStatus(2, status.StateStopped) })
	if r.view.Containers[container(1)].Status.State != status.StateHealthy || len(r.deleted) != 0 || !r.view.Nodes["node1"].Alive {
		t.Errorf("known: %+v, deleted %v", r.view, r.deleted)
	}
	e.delete(path(container(1)))
	r.until("its deletion", func() bool { return len(r.deleted) == 1 })
}

func emptyRead(t *testing.T, e *env) {
	proxy := e.proxy()
	e.putStatus(1, status.StateHealthy)
	e.put("/status:node/node1", nodeValue)
	r := follow(t, e.store(unhurried))
	r.until("synced", func() bool { return r.synced == 1 })
	behind(t, e, r, proxy, func() { e.delete("/status", clientv3.WithPrefix()) })
	if len(r.deleted) != 0 || len(r.view.Containers) != 1 || len(r.view.Nodes) != 1 {
		t.Errorf("deleted %v, known %+v", r.deleted, r.view)
	}
	// A node that goes is believed while others stand.
	e.put("/status:node/node2", nodeValue)
	r.until("node 2", func() bool { return len(r.view.Nodes) == 2 })
	behind(t, e, r, proxy, func() {})
	if len(r.view.Nodes) != 1 || len(r.view.Containers) != 1 {
		t.Errorf("known %+v", r.view)
	}
}

func manyPages(t *testing.T, e *env) {
	for n := range 23 {
		var ops []clientv3.Op
		for m := range 100 {
			k := container(n*100 + m)
			ops = append(ops, clientv3.OpPut(e.prefix+path(k), string(in(status.StateHealthy, k).Encode(1))))
		}
		if _, err := e.server.Client().Txn(context.Background()).Then(ops...).Commit(); err != nil {
			t.Fatal(err)
		}
	}
	v, err := e.store(unhurried).List(t.Context())
	if err != nil || len(v.Containers) != 2300 {
		t.Errorf("listed %d, %v", len(v.Containers), err)
	}
}

func awayAtFirst(t *testing.T, e *env) {
	e.putStatus(1, status.StateHealthy)
	proxy := e.proxy()
	proxy.Cut()
	r := follow(t, e.store(hasty))
	r.until("it is said", func() bool { return len(r.lost) > 0 })
	proxy.Resume()
	r.until("synced", func() bool { return r.synced == 1 })
	if len(r.view.Containers) != 1 {
		t.Errorf("known %+v", r.view)
	}
}
