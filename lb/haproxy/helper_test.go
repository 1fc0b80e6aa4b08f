package haproxy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap/zaptest"

	"github.com/projecteru2/eru-agent/lb"
	"github.com/projecteru2/eru-agent/lb/haproxy"
	"github.com/projecteru2/eru-agent/status"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// service is one of app web: "10.0.0.1:80 ready", "10.0.0.2:80 none", one word of use each.
func service(entrypoint string, servers ...string) *status.Service {
	s := &status.Service{App: "shop", Entrypoint: entrypoint, Revision: 1}
	for i, text := range servers {
		at, use, _ := strings.Cut(text, " ")
		server := status.Server{
			Key:    status.Key{App: "shop", Entrypoint: entrypoint, Node: "n", ID: fmt.Sprint(i)},
			Status: status.Status{Endpoints: map[string]string{"80": at}},
		}
		switch use {
		case "ready":
			server.Use = status.UseReady
		case "drain":
			server.Use = status.UseDrain
		}
		s.Servers = append(s.Servers, server)
	}
	return s
}

func routes(t testing.TB, words ...string) []lb.Route {
	t.Helper()
	all, err := lb.ParseRoutes(words)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// newOutlet returns one for the services web and api.
func newOutlet(t testing.TB, cfg haproxy.Config) *haproxy.Outlet {
	t.Helper()
	cfg.Prefix = "eru"
	if cfg.Add == "" {
		cfg.Add = "check inter 2s"
	}
	if cfg.Routes == nil {
		cfg.Routes = routes(t, "shop/web=web", "shop/api=api")
	}
	return haproxy.New(cfg, zaptest.NewLogger(t), prometheus.NewRegistry())
}

func apply(t testing.TB, o *haproxy.Outlet, services ...*status.Service) {
	t.Helper()
	if err := o.Apply(t.Context(), services); err != nil {
		t.Fatal(err)
	}
}

func want(t testing.TB, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
