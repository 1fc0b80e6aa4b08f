package xds_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/projecteru2/eru-agent/e2e/load"
	"github.com/projecteru2/eru-agent/lb/xds"
	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// backend is a gRPC server as a container would run it. It answers each call with
// nothing but its address.
type backend struct {
	*grpc.Server
	addr string
}

func startBackend(t testing.TB, opts ...grpc.ServerOption) *backend {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{addr: l.Addr().String()}
	b.Server = grpc.NewServer(append(opts, grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
		var m emptypb.Empty
		if err := s.RecvMsg(&m); err != nil {
			return err
		}
		if err := s.SetHeader(metadata.Pairs("Served-By", b.addr)); err != nil {
			return err
		}
		return s.SendMsg(&m)
	}))...)
	done := make(chan struct{})
	go func() { defer close(done); _ = b.Serve(l) }()
	t.Cleanup(func() { b.Stop(); <-done })
	return b
}

func startBackends(t testing.TB, n int) []*backend {
	t.Helper()
	list := make([]*backend, n)
	for i := range list {
		list[i] = startBackend(t)
	}
	return list
}

// as is the service of which backend i is in the given state and used so.
func as(list []*backend, change map[int]status.Server) *status.Service {
	var servers []status.Server
	for i, b := range list {
		s := ready(fmt.Sprint(i), b.addr)
		if to, changed := change[i]; changed {
			s = server(fmt.Sprint(i), b.addr, to.Use, to.Status.State)
		}
		servers = append(servers, on(fmt.Sprintf("n%d", i%2), s))
	}
	return service(servers...)
}

// in is a state and what a View makes of it.
func in(use status.Use, state status.State) status.Server {
	return server("", "", use, state)
}

// user is grpc-go with its xDS client, under load.
type user struct {
	t    testing.TB
	load *load.Load
}

// use calls the service until the test ends.
func use(t testing.TB, o *outlet, credentials string) *user {
	t.Helper()
	x, err := load.NewXDS(o.Addr().String(), credentials, "shop-web")
	if err != nil {
		t.Fatal(err)
	}
	if a := x.Ask(context.Background()); a.Failed != nil { // it waits until the service is known
		t.Fatal(a.Failed)
	}
	u := &user{t, load.Start(context.Background(), 100, x.Ask)}
	t.Cleanup(func() { u.load.Stop(); x.Close() })
	return u
}

// calls are those of the load that were due since a moment.
func (u *user) calls(since time.Time) load.Requests {
	return u.load.Ended().Between(since, time.Now())
}

// goes waits until calls go to the given servers, to each of them and to no
// other.
func (u *user) goes(to ...*backend) {
	u.t.Helper()
	since := time.Now()
	within(u.t, "the calls go where they should", func() bool {
		calls, wanted := u.calls(since), 0
		for _, b := range to {
			n := len(calls.ServedBy(b.addr))
			if n == 0 {
				return false
			}
			wanted += n
		}
		if wanted < len(calls)-len(calls.Failed()) {
			since = time.Now() // look at those from here on
			return false
		}
		return wanted > 50
	})
}

// unharmed holds that no call has failed.
func (u *user) unharmed() {
	u.t.Helper()
	calls := u.calls(time.Time{})
	if failed := calls.Failed(); len(failed) > 0 {
		u.t.Errorf("%d of %d calls failed: %s", len(failed), len(calls), calls.Why())
	}
}

// TestCutOver: a server leaves under load, in each way that is promised to cost
// no call, and comes back.
func TestCutOver(t *testing.T) {
	for name, c := range map[string]struct {
		to  status.Server
		end func(*backend)
	}{
		"unhealthy":             {to: in(status.UseNone, status.StateUnhealthy)},
		"paused":                {to: in(status.UseNone, status.StatePaused)},
		"draining":              {to: in(status.UseDrain, status.StateDraining)},
		"drained, then killed":  {to: in(status.UseDrain, status.StateDraining), end: func(b *backend) { b.Stop() }},
		"drained, then stopped": {to: in(status.UseDrain, status.StateDraining), end: func(b *backend) { b.GracefulStop() }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, list := start(t, web()), startBackends(t, 3)
			o.apply(as(list, nil))
			u := use(t, o, load.Insecure)
			u.goes(list...)

			out := as(list, map[int]status.Server{0: c.to})
			o.apply(out)
			o.confirmed(out)
			u.goes(list[1:]...)
			if c.end != nil {
				c.end(list[0])
				gone := as(list, map[int]status.Server{0: in(status.UseNone, status.StateStopped)})
				o.apply(gone)
				o.confirmed(gone)
				u.goes(list[1:]...)
				list[0] = startBackend(t)
			}
			o.apply(as(list, nil))
			u.goes(list...)
			u.unharmed()
		})
	}
}

// TestStopped: the server says that it goes (GOAWAY) and finishes what it has
// begun; only then etcd says that it has stopped.
func TestStopped(t *testing.T) {
	t.Parallel()
	o, list := start(t, web()), startBackends(t, 3)
	o.apply(as(list, nil))
	u := use(t, o, load.Insecure)
	u.goes(list...)
	list[0].GracefulStop()
	o.apply(as(list, map[int]status.Server{0: in(status.UseNone, status.StateStopped)}))
	u.goes(list[1:]...)
	u.unharmed()
}

// TestPanic: what the View keeps is used, although nothing is healthy.
func TestPanic(t *testing.T) {
	t.Parallel()
	o, list := start(t, web()), startBackends(t, 3)
	o.apply(as(list, nil))
	u := use(t, o, load.Insecure)
	u.goes(list...)
	kept := in(status.UseReady, status.StateUnhealthy)
	s := as(list, map[int]status.Server{0: kept, 1: kept, 2: in(status.UseDrain, status.StateDraining)})
	s.Panic = true
	o.apply(s)
	u.goes(list[:2]...)
	u.unharmed()
}

// TestTheLastOne: calls fail when nothing is left, and go on as soon as there is
// something.
func TestTheLastOne(t *testing.T) {
	t.Parallel()
	o, list := start(t, web()), startBackends(t, 1)
	o.apply(as(list, nil))
	u := use(t, o, load.Insecure)
	u.goes(list...)
	o.apply(service())
	within(t, "calls fail", func() bool { return len(u.calls(time.Time{}).Failed()) > 0 })
	if why := u.calls(time.Time{}).Why(); !strings.HasSuffix(why, ": Unavailable") {
		t.Errorf("failed so: %s", why)
	}
	o.apply(as(list, nil))
	u.goes(list...)
}

// TestRestart: clients keep what they have while the outlet is away, and while
// it is back and knows nothing; then they follow again.
func TestRestart(t *testing.T) {
	t.Parallel()
	before, list := start(t, web()), startBackends(t, 3)
	before.apply(as(list, nil))
	u := use(t, before, load.Insecure)
	u.goes(list...)
	before.stop()
	u.goes(list...)

	cfg := web()
	cfg.Addr = before.Addr().String()
	after := start(t, cfg)
	after.apply() // nothing is known yet
	within(t, "the client is back", func() bool { return strings.Contains(metrics(t, after), `client="load"`) })
	u.goes(list...)
	after.apply(as(list, map[int]status.Server{0: in(status.UseNone, status.StateUnhealthy)}))
	u.goes(list[1:]...)
	u.unharmed()
}

// TestUnderTLS with certificates of both sides.
func TestUnderTLS(t *testing.T) {
	t.Parallel()
	a := etcdtest.NewAuthority(t)
	cfg := web()
	cfg.TLS = xds.TLS{ClientCA: a.CAFile()}
	cfg.TLS.Cert, cfg.TLS.Key = a.Issue("server", time.Now().Add(time.Hour))
	o, list := start(t, cfg), startBackends(t, 2)
	o.apply(as(list, nil))
	cert, key := a.Issue("client", time.Now().Add(time.Hour))
	u := use(t, o, fmt.Sprintf(`{"type": "tls", "config": {"ca_certificate_file": %q, "certificate_file": %q, "private_key_file": %q}}`, a.CAFile(), cert, key))
	u.goes(list...)
	o.apply(as(list, map[int]status.Server{1: in(status.UseDrain, status.StateDraining)}))
	u.goes(list[0])
	u.unharmed()
}

// TestManyCallsAtOnce: there may be more than the 1,024 that gRPC takes by
// default.
func TestManyCallsAtOnce(t *testing.T) {
	t.Parallel()
	const many = 1100
	held, answer := make(chan struct{}), make(chan struct{})
	b := startBackend(t, grpc.StreamInterceptor(func(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, h grpc.StreamHandler) error {
		select {
		case held <- struct{}{}:
			<-answer
		case <-answer:
		}
		return h(srv, s)
	}))
	o := start(t, web())
	o.apply(as([]*backend{b}, nil))
	x, err := load.NewXDS(o.Addr().String(), load.Insecure, "shop-web")
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	failed := make(chan error, many)
	for range many {
		go func() { failed <- x.Ask(context.Background()).Failed }()
	}
	for range many {
		select {
		case <-held:
		case err := <-failed:
			t.Fatal(err)
		}
	}
	close(answer)
	for range many {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}
