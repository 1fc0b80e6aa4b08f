package status

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// crowd is a View of 1,000 servers in 100 services.
func crowd(cfg ViewConfig) (*View, func(n int, state State)) {
	v := NewView(NewStore(Config{Prefix: "/eru"}, zap.NewNop()), cfg, zap.NewNop())
	revision := int64(0)
	put := func(n int, state State) {
		revision++
		k := Key{App: fmt.Sprintf("app%d", n%100), Entrypoint: "web", Node: fmt.Sprintf("node%d", n%20), ID: fmt.Sprintf("%064x", n)}
		at := time.Unix(1e9+revision, 0)
		s := Status{ID: k.ID, Name: k.App + "_web_x", State: state, Since: at, Started: time.Unix(1e9, 0),
			Networks: map[string]string{"bridge": "172.17.0.7"}, Endpoints: map[string]string{"80": fmt.Sprintf("10.0.%d.%d:80", n/250, n%250+1)}}
		v.watchedAt(revision, []*clientv3.Event{{Type: clientv3.EventTypePut, Kv: &mvccpb.KeyValue{
			Key: []byte(v.store.keys.container(k)), Value: s.Encode(uint64(revision)), ModRevision: revision}}}, at)
	}
	for n := range 1000 {
		put(n, StateHealthy)
	}
	return v, put
}

// BenchmarkView is what a View does for one change of 1,000 servers in 100
// services, and for a proxy that asks for all of them after it. With 50 changes a
// second, 50 of it are what it costs in a second, and one copy.
func BenchmarkView(b *testing.B) {
	states := [2]State{StateUnhealthy, StateHealthy}
	b.Run("change", func(b *testing.B) {
		v, put := crowd(ViewConfig{Hold: time.Second})
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			put(i/2%1000, states[i%2])
			if len(v.Services()) != 100 {
				b.Fatal("services are missing")
			}
		}
		b.ReportMetric(50*float64(b.Elapsed())/float64(b.N)/1e9*100, "%cpu@50/s")
	})
	b.Run("copy", func(b *testing.B) {
		v, _ := crowd(ViewConfig{File: filepath.Join(b.TempDir(), "copy.json")})
		b.ReportAllocs()
		for b.Loop() {
			if err := v.save(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// TestViewAllocations counts what one change of a service of ten servers costs,
// with the making of its value. It depends neither on the machine nor on how many
// other services there are; a change that makes it more says why. There are 51,
// and 56 with the race detector.
func TestViewAllocations(t *testing.T) {
	_, put := crowd(ViewConfig{})
	n := 0
	got := testing.AllocsPerRun(100, func() {
		n++
		put(7, [2]State{StateUnhealthy, StateHealthy}[n%2])
	})
	const most = 65
	if got > most {
		t.Errorf("%v allocations, %d at most", got, most)
	}
}
