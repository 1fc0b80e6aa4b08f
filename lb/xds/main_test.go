package xds_test

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/projecteru2/eru-agent/lb"
	"github.com/projecteru2/eru-agent/lb/xds"
	"github.com/projecteru2/eru-agent/status"
)

var update = flag.Bool("update", false, "write the golden files anew")

// patience bounds what a test waits for; nothing is measured with it.
const patience = 20 * time.Second

func TestMain(m *testing.M) {
	// gRPC's reader of certificate files outlives its client.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("google.golang.org/grpc/credentials/tls/certprovider/pemfile.(*watcher).run"))
}

// outlet is one that serves.
type outlet struct {
	*xds.Outlet
	t    testing.TB
	logs *observer.ObservedLogs
	stop func()
}

// start serves on a free address unless cfg says otherwise.
func start(t testing.TB, cfg xds.Config) *outlet {
	t.Helper()
	if cfg.Addr == "" {
		cfg.Addr = "127.0.0.1:0"
	}
	core, logs := observer.New(zap.WarnLevel)
	x, err := xds.New(cfg, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- x.Run(ctx) }()
	o := &outlet{Outlet: x, t: t, logs: logs}
	ended := false
	o.stop = func() {
		cancel()
		if ended {
			return
		}
		ended = true
		if err := <-done; err != nil {
			t.Errorf("serving: %v", err)
		}
	}
	t.Cleanup(o.stop)
	return o
}

func (o *outlet) apply(services ...*status.Service) {
	o.t.Helper()
	if err := o.Apply(context.Background(), services); err != nil {
		o.t.Fatal(err)
	}
}

// confirmed waits until what was applied last is confirmed.
func (o *outlet) confirmed(want *status.Service) {
	o.t.Helper()
	for {
		select {
		case got := <-o.Confirmed():
			if len(got) == 1 && got[0] == want {
				return
			}
		case <-time.After(patience):
			o.t.Fatal("no confirmation")
		}
	}
}

// web is the service that most tests serve.
func web() xds.Config {
	return xds.Config{Routes: []lb.Route{{App: "shop", Entrypoint: "web", Backend: "shop-web"}}}
}

func service(servers ...status.Server) *status.Service {
	return &status.Service{App: "shop", Entrypoint: "web", Servers: servers, Revision: 1}
}

// server is one of node n1 with port 80 at addr.
func server(id, addr string, use status.Use, state status.State) status.Server {
	return status.Server{
		Key: status.Key{App: "shop", Entrypoint: "web", Node: "n1", ID: id},
		Use: use,
		Status: status.Status{
			ID: id, State: state, Running: state.Running(), Healthy: state == status.StateHealthy,
			Endpoints: map[string]string{"80": addr},
		},
	}
}

func ready(id, addr string) status.Server {
	return server(id, addr, status.UseReady, status.StateHealthy)
}

func on(node string, s status.Server) status.Server {
	s.Key.Node = node
	return s
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s is not what is served (write it anew with -update, if that is meant):\n%s", path, got)
	}
}

// within polls what no event tells of.
func within(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for !holds() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("not so: %s", what)
		}
	}
}
