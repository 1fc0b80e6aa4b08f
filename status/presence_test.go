package status_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/projecteru2/eru-agent/status"
)

func TestFollowNodes(t *testing.T) {
	onBoth(t, map[string]func(*testing.T, *env){
		"each session's begin and end": nodesFollowed,
		"over a gap":                   nodesOverGap,
	})
}

// presences is what has been told.
type presences struct {
	mu     sync.Mutex
	told   []string
	living map[string]int64
}

func (p *presences) hear(c status.Presence) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case c.All != nil:
		p.told, p.living = append(p.told, fmt.Sprint("all ", len(c.All))), c.All
	case c.Up:
		p.told = append(p.told, c.Node+" up")
		p.living[c.Node] = c.Lease
	default:
		p.told = append(p.told, c.Node+" down")
		delete(p.living, c.Node)
	}
}

func (p *presences) has(node string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.living[node] != 0
}

func (e *env) followNodes(s *status.Store) *presences {
	p := &presences{living: map[string]int64{}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = s.FollowNodes(ctx, p.hear) }()
	e.t.Cleanup(func() { cancel(); <-done })
	return p
}

func nodesFollowed(t *testing.T, e *env) {
	w := audited(t, e, 1)
	lease := live(t, e, w, "m1")
	p := e.followNodes(e.store(unhurried))
	eventually(t, "node1 to be there", func() bool { return p.has("node1") })
	e.revoke(lease)
	eventually(t, "node1 to be gone", func() bool { return !p.has("node1") })
	w.set(container(0), status.StateUnhealthy) // none of its business
	w.settle()
	live(t, e, w, "m1")
	eventually(t, "node1 to be back", func() bool { return p.has("node1") })
	p.mu.Lock()
	defer p.mu.Unlock()
	if got := fmt.Sprint(p.told); got != "[all 1 node1 down node1 up]" {
		t.Errorf("told %s", got)
	}
}

// nodesOverGap loses the watch, and what happened meanwhile is compacted away.
func nodesOverGap(t *testing.T, e *env) {
	w := audited(t, e, 0)
	lease := live(t, e, w, "m1")
	proxy := e.proxy()
	p := e.followNodes(e.store(hasty))
	eventually(t, "node1 to be there", func() bool { return p.has("node1") })
	proxy.Cut()
	e.revoke(lease)
	e.put("/status:node/node2", "{}")
	if _, err := e.server.Client().Compact(context.Background(), e.revision()); err != nil {
		t.Fatal(err)
	}
	proxy.Resume()
	eventually(t, "node1 to be gone", func() bool { return !p.has("node1") })
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, there := p.living["node2"]; !there || len(p.living) != 1 {
		t.Errorf("it knows %v", p.living)
	}
}
