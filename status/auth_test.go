package status_test

import (
	"context"
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

const tokenTTL = 2 * time.Second

// TestRole runs everything as a user whose role may touch the prefix and no
// more, past the end of its token.
func TestRole(t *testing.T) {
	role := etcdtest.Role{User: "eru", Password: "secret", Prefix: "/eru/"}
	for name, start := range map[string]func(testing.TB, ...etcdtest.Option) *etcdtest.Server{"embedded": etcdtest.Start, "process": etcdtest.StartProcess} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, etcdtest.WithAuth(role), etcdtest.WithTokenTTL(tokenTTL))
			cfg := status.Config{Endpoints: []string{s.Endpoint()}, Prefix: "/eru", Username: "eru", Password: "secret", Timeout: unhurried}
			store := newStore(t, cfg)
			w := newWriter(t, store, identity("i1", "m1"))
			w.run(adoptNothing)
			h := hold(t, store, time.Minute)
			w.SetNode(status.Node{Nodename: "node1", Alive: true}, h.lease)
			w.set(container(1), status.StateHealthy)
			w.settle()
			r := follow(t, newStore(t, cfg))
			r.until("synced", func() bool { return r.synced == 1 })

			// Twice the life of a token without a call of the writer's. The
			// server's clock is the one that counts, and asking it whether a token
			// has expired would prolong it.
			<-time.After(2 * tokenTTL)
			w.set(container(1), status.StateUnhealthy)
			w.settle()
			r.until("the change is told", func() bool { return r.view.Containers[container(1)].Status.State == status.StateUnhealthy })
			if n := w.metric("publish_errors_total"); n != 0 {
				t.Errorf("%v errors after the token had expired", n)
			}

			outside := newStore(t, status.Config{Endpoints: []string{s.Endpoint()}, Prefix: "/eru2", Username: "eru", Password: "secret", Timeout: unhurried})
			if _, err := outside.List(t.Context()); err == nil || !strings.Contains(err.Error(), "permission denied") {
				t.Errorf("reading outside of the prefix: %v", err)
			}
			cfg.Password = "wrong"
			if _, err := newStore(t, cfg).List(t.Context()); err == nil || !strings.Contains(err.Error(), "invalid user ID or password") {
				t.Errorf("a wrong password: %v", err)
			}
		})
	}
}

func TestTLS(t *testing.T) {
	ours, others := etcdtest.NewAuthority(t), etcdtest.NewAuthority(t)
	anonymous := ours.Client()
	anonymous.Certificates = nil
	strangers := ours.Client()
	strangers.Certificates = others.Client().Certificates
	name := ours.Client()
	name.ServerName = "etcd.example.com"
	right := ours.Client()
	right.ServerName = "localhost"
	for server, start := range map[string]func(testing.TB, ...etcdtest.Option) *etcdtest.Server{"embedded": etcdtest.Start, "process": etcdtest.StartProcess} {
		s := start(t, etcdtest.WithTLS(ours))
		for what, c := range map[string]struct {
			tls *tls.Config
			err string
		}{
			"a client certificate":           {ours.Client(), ""},
			"an authority that is not known": {others.Client(), "certificate signed by unknown authority"},
			"no client certificate":          {anonymous, "certificate required|bad certificate|connection reset|broken pipe|EOF"},
			"a stranger's certificate":       {strangers, "certificate authority|bad certificate|connection reset|broken pipe|EOF"},
			"the name that it has":           {right, ""},
			"another name":                   {name, "not etcd.example.com"},
		} {
			t.Run(server+"/"+what, func(t *testing.T) {
				t.Parallel()
				timeout := time.Second
				if c.err == "" {
					timeout = unhurried
				}
				store := newStore(t, status.Config{Endpoints: []string{s.Endpoint()}, Prefix: "/eru", TLS: c.tls, Timeout: timeout})
				_, err := store.List(context.Background())
				if c.err == "" {
					if err != nil {
						t.Error(err)
					}
					return
				}
				for want := range strings.SplitSeq(c.err, "|") {
					if err != nil && strings.Contains(err.Error(), want) {
						return
					}
				}
				t.Errorf("got %v, want %q", err, c.err)
			})
		}
	}
}

// TestNobodyThere holds that an etcd which is not there is told as such.
func TestNobodyThere(t *testing.T) {
	store := newStore(t, status.Config{Endpoints: []string{"http://127.0.0.1:1"}, Prefix: "/eru", Timeout: hasty})
	if _, err := store.List(t.Context()); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("got %v", err)
	}
}
