package status_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

func benchWriter(b *testing.B) (*status.Writer, *etcdtest.Server) {
	b.Helper()
	s := etcdtest.Start(b)
	store := status.NewStore(status.Config{Endpoints: []string{s.Endpoint()}, Prefix: "/eru", Timeout: unhurried}, zap.NewNop())
	w := status.NewWriter(store, identity("i1", "m1"), zap.NewNop(), new(status.WriterMetrics))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- w.Run(ctx, adoptNothing) }()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
		_ = store.Close()
	})
	if err := w.Wait(ctx); err != nil {
		b.Fatal(err)
	}
	return w, s
}

// BenchmarkSetToWatch is the way of one status from Set to a watcher.
func BenchmarkSetToWatch(b *testing.B) {
	w, s := benchWriter(b)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	watch := s.Client().Watch(ctx, "/eru/status/", clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	<-watch
	var took []time.Duration
	k := container(1)
	for b.Loop() {
		state := status.StateHealthy
		if len(took)%2 == 0 {
			state = status.StateUnhealthy
		}
		from := time.Now()
		w.Set(k, in(state, k), from)
		resp := <-watch
		if err := resp.Err(); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(from))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-p50")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "ms-p99")
}

// BenchmarkPublish1000 is a node with 1,000 containers, all of which change,
// until etcd has acknowledged the last.
func BenchmarkPublish1000(b *testing.B) {
	w, _ := benchWriter(b)
	extension := strings.Repeat("x", 500)
	round := 0
	for b.Loop() {
		round++
		for n := range 1000 {
			st := in(status.StateHealthy, container(n))
			st.Extension, st.Since = extension, moment.Add(time.Duration(round))
			w.Set(container(n), st, time.Now())
		}
		if err := w.Wait(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}
