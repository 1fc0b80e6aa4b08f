package status

import (
	"fmt"
	"testing"
	"time"

	"go.uber.org/zap"
)

// TestAllocations counts what it costs to want a status, and to make a
// transaction of one of many. It does not depend on the machine; a change that
// makes it more says why. The race detector empties pools: without it there are
// 11 and 30.
func TestAllocations(t *testing.T) {
	w := NewWriter(NewStore(Config{Endpoints: []string{"127.0.0.1:1"}, Prefix: "/eru"}, zap.NewNop()),
		Identity{Node: "n1"}, zap.NewNop(), new(WriterMetrics))
	now := time.Now()
	key := func(n int) Key { return Key{App: "shop", Entrypoint: "web", Node: "n1", ID: fmt.Sprintf("%064x", n)} }
	s := Status{ID: key(0).ID, Name: "shop_web_1", State: StateHealthy, Since: now, Started: now,
		Networks: map[string]string{"bridge": "172.17.0.7"}, Endpoints: map[string]string{"80": "172.17.0.7:80"}}
	for n := range 1000 {
		w.Set(key(n), s, now)
	}
	for b := w.nextBatch(); len(b.entries) > 0; b = w.nextBatch() {
		w.acknowledge(b, 1)
	}
	k, unhealthy := key(7), s
	unhealthy.State, unhealthy.Reason = StateUnhealthy, "timeout"
	for _, tt := range []struct {
		what string
		do   func()
		most float64
	}{
		{"what stands there is wanted again", func() { w.Set(k, s, now) }, 15},
		{"a status changes, and changes back", func() {
			for _, s := range []Status{unhealthy, s} {
				w.Set(k, s, now)
				w.acknowledge(w.nextBatch(), 1)
			}
		}, 38},
	} {
		got := testing.AllocsPerRun(200, tt.do)
		t.Logf("%s: %v", tt.what, got)
		if got > tt.most {
			t.Errorf("%s: %v allocations, want at most %v", tt.what, got, tt.most)
		}
	}
}
