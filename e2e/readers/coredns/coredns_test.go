// Package coredns asks a real CoreDNS, whose etcd plugin reads what the agent has
// written. These readers are a module of their own, so that the agent's does not
// depend on them.
package coredns

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/etcd"
	_ "github.com/coredns/coredns/plugin/rewrite"
	"github.com/miekg/dns"

	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// patience bounds what a test waits for; nothing is measured with it.
const patience = 20 * time.Second

// corefile is the example's, with the test's own etcd and port, and what else is
// to be replaced.
func corefile(t *testing.T, endpoint string, more ...string) caddy.CaddyfileInput {
	t.Helper()
	text, err := os.ReadFile("../../../examples/coredns/Corefile")
	if err != nil {
		t.Fatal(err)
	}
	own := strings.NewReplacer(append(more, "http://127.0.0.1:2379", endpoint, ".:53", ".:0")...).Replace(string(text))
	if !strings.Contains(own, endpoint) || strings.Count(own, ".:0") != 2 {
		t.Fatalf("the example is not what this test takes it for:\n%s", text)
	}
	return caddy.CaddyfileInput{Filepath: "Corefile", Contents: []byte(own), ServerTypeName: "dns"}
}

// server is a CoreDNS.
type server struct {
	t       *testing.T
	address string
}

func serve(t *testing.T, etcd *etcdtest.Server, more ...string) *server {
	t.Helper()
	caddy.Quiet, dnsserver.Quiet = true, true
	instance, err := caddy.Start(corefile(t, etcd.Endpoint(), more...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := instance.Stop(); err != nil {
			t.Error(err)
		}
		for _, err := range instance.ShutdownCallbacks() {
			t.Error(err)
		}
	})
	_, port, err := net.SplitHostPort(instance.Servers()[0].Addr().String()) // of TCP
	if err != nil {
		t.Fatal(err)
	}
	return &server{t, net.JoinHostPort("127.0.0.1", port)}
}

// ask returns the answer to one question.
func (s *server) ask(name string, kind uint16) *dns.Msg {
	s.t.Helper()
	q := new(dns.Msg)
	q.SetQuestion(name, kind)
	m, _, err := (&dns.Client{Net: "tcp", Timeout: patience}).Exchange(q, s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	return m
}

// addresses are those of A and AAAA records; each has to bear the name that was
// asked for and the least time to live.
func (s *server) addresses(name string) []string {
	s.t.Helper()
	var list []string
	for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
		for _, rr := range s.ask(name, kind).Answer {
			if h := rr.Header(); h.Name != name || h.Ttl != 1 {
				s.t.Errorf("asked for %s, got %s", name, rr)
			}
			list = append(list, address(rr))
		}
	}
	slices.Sort(list)
	return list
}

func address(rr dns.RR) string {
	switch rr := rr.(type) {
	case *dns.A:
		return rr.A.String()
	case *dns.AAAA:
		return rr.AAAA.String()
	default:
		return rr.String()
	}
}

// dialled are the addresses and ports that a client dials which follows SRV
// records: it asks for the addresses of each target.
func (s *server) dialled(name string) []string {
	s.t.Helper()
	var list []string
	for _, rr := range s.ask(name, dns.TypeSRV).Answer {
		srv, ok := rr.(*dns.SRV)
		if !ok || srv.Hdr.Ttl != 1 {
			s.t.Fatalf("asked for SRV records of %s, got %s", name, rr)
		}
		if _, ok := dns.IsDomainName(srv.Target); !ok || srv.Target == name {
			s.t.Errorf("the target of %s is no name of its own", srv)
		}
		for _, a := range s.addresses(srv.Target) {
			list = append(list, netip.AddrPortFrom(netip.MustParseAddr(a), srv.Port).String())
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func want(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}
