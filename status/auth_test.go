package status_test

import (
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
			cfg := status.Config{Endpoints: []string{s.Endpoint()}, Prefix: "/eru", Username: "eru", PasswordFile: secret(t, "secret"), Timeout: unhurried}
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

			outside := newStore(t, status.Config{Endpoints: []string{s.Endpoint()}, Prefix: "/eru2", Username: "eru", PasswordFile: secret(t, "secret"), Timeout: unhurried})
			if _, err := outside.List(t.Context()); err == nil || !strings.Contains(err.Error(), "permission denied") {
				t.Errorf("reading outside of the prefix: %v", err)
			}
			cfg.PasswordFile = secret(t, "wrong")
			if _, err := newStore(t, cfg).List(t.Context()); err == nil || !strings.Contains(err.Error(), "invalid user ID or password") {
				t.Errorf("a wrong password: %v", err)
			}
		})
	}
}

// TestNobodyThere holds that an etcd which is not there is told as such.
func TestNobodyThere(t *testing.T) {
	store := newStore(t, status.Config{Endpoints: []string{"http://127.0.0.1:1"}, Prefix: "/eru", Timeout: hasty})
	if _, err := store.List(t.Context()); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("got %v", err)
	}
}
