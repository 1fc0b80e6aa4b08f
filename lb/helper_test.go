package lb_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/projecteru2/eru-agent/lb"
	"github.com/projecteru2/eru-agent/status"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// view is told what it knows.
type view struct {
	changed chan struct{}

	mu       sync.Mutex
	services []*status.Service
	state    status.ViewState
}

func newView() *view { return &view{changed: make(chan struct{}, 1)} }

func (v *view) Run(ctx context.Context) error { <-ctx.Done(); return nil }
func (v *view) Changed() <-chan struct{}      { return v.changed }
func (v *view) State() status.ViewState       { v.mu.Lock(); defer v.mu.Unlock(); return v.state }
func (v *view) Services() []*status.Service   { v.mu.Lock(); defer v.mu.Unlock(); return v.services }
func (v *view) knows(all ...*status.Service) {
	v.is(status.ViewState{Synced: true, Revision: newest(all)}, all...)
}

func newest(all []*status.Service) int64 {
	revision := int64(1)
	for _, s := range all {
		revision = max(revision, s.Revision)
	}
	return revision
}

func (v *view) is(state status.ViewState, all ...*status.Service) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.state, v.services = state, all
	select {
	case v.changed <- struct{}{}:
	default:
	}
}

// outlet takes what it is given, and fails as told.
type outlet struct {
	lost  chan struct{}
	takes time.Duration

	mu      sync.Mutex
	fails   error
	applied [][]*status.Service
}

func (o *outlet) Lost() <-chan struct{} { return o.lost }

func (o *outlet) Kinds() []string { return []string{"tired"} }

func (o *outlet) Apply(ctx context.Context, services []*status.Service) error {
	select {
	case <-time.After(o.takes):
	case <-ctx.Done():
		return ctx.Err()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.applied = append(o.applied, services)
	return o.fails
}

func (o *outlet) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.fails = err
}

// times is how often Apply has ended.
func (o *outlet) times() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.applied)
}

// last is what was applied last.
func (o *outlet) last() []*status.Service {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.applied[len(o.applied)-1]
}

// bench is a loop that runs, with what stands around it.
type bench struct {
	*lb.Loop

	view    *view
	outlet  *outlet
	records chan status.Reader // the newest
	log     *observer.ObservedLogs
	reg     *prometheus.Registry
}

// run runs do beside a loop that follows shop/web, in a bubble.
func run(t *testing.T, do func(t *testing.T, b *bench)) {
	t.Helper()
	runWith(t, func(o *outlet) lb.Outlet { return o }, do)
}

// runWith runs do beside a loop with what is made of the outlet.
func runWith(t *testing.T, of func(*outlet) lb.Outlet, do func(t *testing.T, b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.DebugLevel)
		b := &bench{view: newView(), outlet: &outlet{lost: make(chan struct{})}, log: logs, reg: prometheus.NewRegistry(), records: make(chan status.Reader, 100)}
		b.Loop = lb.New(status.Reader{Kind: "test"}, []lb.Followed{{App: "shop", Entrypoint: "web", View: b.view}}, of(b.outlet), zap.New(core), b.reg)
		ctx, cancel := context.WithCancel(t.Context())
		var tasks sync.WaitGroup
		tasks.Go(func() {
			if err := b.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		tasks.Go(func() {
			for {
				select {
				case r := <-b.Loop.Records():
					b.records <- r
				case <-ctx.Done():
					return
				}
			}
		})
		defer tasks.Wait()
		defer cancel()
		synctest.Wait()
		do(t, b)
	})
}

// service is shop/web with servers of these uses, named a, b, c, …
func service(revision int64, servers ...status.Server) *status.Service {
	s := &status.Service{App: "shop", Entrypoint: "web", Revision: revision}
	for i, server := range servers {
		server.Key = status.Key{App: "shop", Entrypoint: "web", Node: "n", ID: string(rune('a' + i))}
		s.Servers = append(s.Servers, server)
	}
	return s
}

func healthy() status.Server {
	return status.Server{Use: status.UseReady, Status: status.Status{Healthy: true, State: status.StateHealthy}}
}

func draining(revision int64) status.Server {
	return status.Server{Use: status.UseDrain, Revision: revision, Status: status.Status{State: status.StateDraining}}
}

func want[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}
