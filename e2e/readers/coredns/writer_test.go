package coredns

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/zap"

	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// node is a Writer under test.
type node struct {
	*status.Writer
	t *testing.T
}

func write(t *testing.T, etcd *etcdtest.Server, prefix, name string) *node {
	t.Helper()
	store := status.NewStore(status.Config{Endpoints: []string{etcd.Endpoint()}, Prefix: prefix, Timeout: patience}, zap.NewNop())
	w := status.NewWriter(store, status.Identity{Node: name, Instance: name}, zap.NewNop(),
		new(status.WriterMetrics), status.SkyDNS)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- w.Run(ctx, func(context.Context, []status.Found) error { return nil }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		_ = store.Close()
	})
	return &node{w, t}
}

// key is of a container whose ID is as long as Docker's.
func key(app, node string, n int) status.Key {
	return status.Key{App: app, Entrypoint: "web", Node: node, ID: fmt.Sprintf("%064x", n)}
}

// set publishes a container and waits until etcd has it.
func (n *node) set(k status.Key, state status.State, endpoint string) {
	n.t.Helper()
	s := status.Status{ID: k.ID, Name: "name", State: state, Since: time.Now(), Started: time.Now()}
	if endpoint != "" {
		s.Endpoints = map[string]string{"80": endpoint}
	}
	n.Set(k, s, time.Now())
	n.settle()
}

func (n *node) settle() {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := n.Wait(ctx); err != nil {
		n.t.Fatal(err)
	}
}

// TestAnswers asks after each change that etcd has acknowledged: no answer is
// older than that.
func TestAnswers(t *testing.T) {
	etcd := etcdtest.Start(t)
	s := serve(t, etcd)
	one, two := write(t, etcd, "/eru", "n1"), write(t, etcd, "/eru", "n2")
	a, b, six := key("shop", "n1", 1), key("shop", "n2", 2), key("shop", "n2", 3)
	const name = "web.shop.status."

	if m := s.ask(name, dns.TypeA); m.Rcode != dns.RcodeNameError {
		t.Errorf("of a service that is not there it says %s", m)
	}
	one.set(a, status.StateStarting, "10.0.0.1:32768")
	if m := s.ask(name, dns.TypeA); m.Rcode != dns.RcodeSuccess || len(m.Answer) > 0 {
		t.Errorf("of a service without a healthy container it says %s", m)
	}
	one.set(a, status.StateHealthy, "10.0.0.1:32768")
	two.set(b, status.StateHealthy, "10.0.0.2:32769")
	two.set(six, status.StateHealthy, "[fd00::7]:32769")
	two.set(key("shop", "n2", 4), status.StateHealthy, "") // nobody knows where
	two.set(key("other", "n2", 5), status.StateHealthy, "10.0.0.9:80")
	want(t, "all are healthy", s.addresses(name), "10.0.0.1", "10.0.0.2", "fd00::7")
	want(t, "by SRV", s.dialled(name), "10.0.0.1:32768", "10.0.0.2:32769", "[fd00::7]:32769")

	for _, state := range []status.State{status.StateUnhealthy, status.StateDraining, status.StatePaused, status.StateInvalid, status.StateLost} {
		one.set(a, state, "10.0.0.1:32768")
		want(t, string(state), s.addresses(name), "10.0.0.2", "fd00::7")
		want(t, string(state)+", by SRV", s.dialled(name), "10.0.0.2:32769", "[fd00::7]:32769")
		one.set(a, status.StateHealthy, "10.0.0.1:32768")
		want(t, "healthy again", s.addresses(name), "10.0.0.1", "10.0.0.2", "fd00::7")
	}
	one.set(a, status.StateStopped, "10.0.0.1:32768")
	want(t, "stopped", s.addresses(name), "10.0.0.2", "fd00::7")
	one.Retire(a)
	one.settle()
	want(t, "deleted", s.addresses(name), "10.0.0.2", "fd00::7")
	want(t, "deleted, by SRV", s.dialled(name), "10.0.0.2:32769", "[fd00::7]:32769")
}

// TestNames asks in the other ways that there are.
func TestNames(t *testing.T) {
	etcd := etcdtest.Start(t)
	s := serve(t, etcd)
	w := write(t, etcd, "/eru", "n1")
	w.set(key("shop", "n1", 1), status.StateHealthy, "10.0.0.1:80")
	w.set(key("shop", "n1", 2), status.StateHealthy, "10.0.0.2:80")
	w.set(key("shop", "n1", 3), status.StateUnhealthy, "10.0.0.3:80")
	for _, name := range []string{"web.shop.status.", "n1.web.shop.status.", "shop.status.", "web.shop.eru.example."} {
		want(t, name, s.addresses(name), "10.0.0.1", "10.0.0.2")
		if name != "n1.web.shop.status." { // which is what SRV records name
			want(t, name+" by SRV", s.dialled(name), "10.0.0.1:80", "10.0.0.2:80")
		}
	}
	// The addresses come along with SRV records, so that one question is enough.
	m := s.ask("web.shop.status.", dns.TypeSRV)
	var extra []string
	for _, rr := range m.Extra {
		extra = append(extra, address(rr))
	}
	want(t, "beside the SRV records", extra, "10.0.0.1", "10.0.0.2")
}

// TestLongPrefix follows the example's word on prefixes of several parts.
func TestLongPrefix(t *testing.T) {
	etcd := etcdtest.Start(t)
	s := serve(t, etcd, "path /eru", "path /a", "status.:53", "status.b.:0", "etcd status.", "etcd status.b.")
	w := write(t, etcd, "/a/b", "n1")
	w.set(key("shop", "n1", 1), status.StateHealthy, "10.0.0.1:80")
	want(t, "by A", s.addresses("web.shop.status.b."), "10.0.0.1")
	want(t, "by SRV", s.dialled("web.shop.status.b."), "10.0.0.1:80")
}
