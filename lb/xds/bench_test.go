package xds_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/projecteru2/eru-agent/e2e/load"
	"github.com/projecteru2/eru-agent/lb"
	"github.com/projecteru2/eru-agent/lb/xds"
	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// BenchmarkPutToLastCall is the way of a status from its put into etcd to the
// last call that a gRPC client sends to that server: 2,000 calls a second to
// five servers, of which one turns unhealthy at a time.
func BenchmarkPutToLastCall(b *testing.B) {
	etcd := etcdtest.StartProcess(b)
	list := startBackends(b, 5)
	put := func(i int, state status.State) time.Time {
		key := fmt.Sprintf("/eru/status/shop/web/n1/%d", i)
		value := server(fmt.Sprint(i), list[i].addr, 0, state).Status.Encode(0)
		at := time.Now()
		if _, err := etcd.Client().Put(b.Context(), key, string(value)); err != nil {
			b.Fatal(err)
		}
		return at
	}
	for i := range list {
		put(i, status.StateHealthy)
	}
	o := start(b, web())
	follow(b, etcd, o)
	x, err := load.NewXDS(o.Addr().String(), load.Insecure, "shop-web")
	if err != nil {
		b.Fatal(err)
	}
	defer x.Close()
	if a := x.Ask(b.Context()); a.Failed != nil {
		b.Fatal(a.Failed)
	}
	u := &user{b, load.Start(b.Context(), 2000, x.Ask)}
	u.goes(list...)
	var took []time.Duration
	for b.Loop() {
		i := len(took) % len(list)
		at := put(i, status.StateUnhealthy)
		u.goes(slices.Concat(list[:i], list[i+1:])...)
		took = append(took, max(u.calls(at).ServedBy(list[i].addr).LastSent().Sub(at), 0))
		put(i, status.StateHealthy)
		u.goes(list...)
	}
	calls := u.load.Stop()
	slices.Sort(took)
	at := func(q float64) float64 { return took[int(q*float64(len(took)-1))].Seconds() * 1000 }
	b.ReportMetric(at(0.5), "ms-p50")
	b.ReportMetric(at(0.99), "ms-p99")
	b.ReportMetric(at(1), "ms-most")
	b.ReportMetric(float64(len(calls.Failed())), "failed")
	b.ReportMetric(float64(len(calls)), "calls")
}

// follow brings the outlet to what etcd says, until the test ends.
func follow(b *testing.B, etcd *etcdtest.Server, o *outlet) {
	b.Helper()
	store := status.NewStore(status.Config{Endpoints: []string{etcd.Endpoint()}, Prefix: "/eru", Timeout: patience}, zap.NewNop())
	view := status.NewView(store, status.ViewConfig{Scope: status.Scope{App: "shop", Entrypoint: "web"}}, zap.NewNop())
	loop := lb.New(status.Reader{}, []lb.Followed{{App: "shop", Entrypoint: "web", View: view}}, o.Outlet, zap.NewNop(), prometheus.NewRegistry())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- loop.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
		_ = store.Close()
	})
}

var _ lb.Confirmer = (*xds.Outlet)(nil)
