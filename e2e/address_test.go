package e2e

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

// TestAddresses starts one container for each way in which Docker connects one.
func TestAddresses(t *testing.T) {
	t.Parallel()
	node := r.Node(t, etcdtest.Start(t))
	node.Start().AwaitReady()
	first, second := node.Network("a"), node.Network("b")
	six := node.Network("six", "--ipv6", "--subnet", fmt.Sprintf("fd%02x:%x:%x::/64", rand.N(256), rand.N(1<<16), rand.N(1<<16)))

	t.Run("host network", func(t *testing.T) {
		t.Parallel()
		port := rig.FreePort(t)
		c := node.In(t).Run("host", "--network=host", "--env=PORTS="+port, "--env=CONTROL=off", "--label=eru.health.http.port="+port,
			bodyFrom(t, "127.0.0.1"))
		s := c.Await("healthy")
		want(t, "endpoint", s.Endpoints[port], net.JoinHostPort(rig.NodeIP, port))
		want(t, "network", s.Networks["host"], rig.NodeIP)
	})
	t.Run("no network", func(t *testing.T) {
		t.Parallel()
		s := node.In(t).Run("none", "--network=none", rig.HTTP).AwaitStatus("no address", func(s rig.Status) bool { return s.Reason == "no_address" })
		want(t, "state", s.State, "starting")
	})
	t.Run("of its own", func(t *testing.T) {
		t.Parallel()
		c := node.In(t).Run("own", "--network="+first, rig.HTTP)
		s := c.Await("healthy")
		want(t, "network", s.Networks[first], c.Address(first))
		want(t, "endpoint", s.Endpoints["80"], c.Address(first)+":80")
	})
	t.Run("of NetworkMode", func(t *testing.T) {
		t.Parallel() // the other one is lexically first
		two(t, node.In(t), second, first, bodyFrom(t, subnet(t, second)))
	})
	t.Run("that a label names", func(t *testing.T) {
		t.Parallel()
		two(t, node.In(t), first, second, bodyFrom(t, subnet(t, second)), "--label=eru.health.network="+second)
	})
	t.Run("that a label names in vain", func(t *testing.T) {
		t.Parallel()
		s := node.In(t).Run("vain", "--network="+first, rig.HTTP, "--label=eru.health.network="+second).
			AwaitStatus("no address", func(s rig.Status) bool { return s.Reason == "no_address" })
		if !strings.Contains(s.Detail, second) || !strings.Contains(s.Detail, first) {
			t.Errorf("detail %q names not both %s and %s", s.Detail, second, first)
		}
	})
	t.Run("with IPv6 beside IPv4", func(t *testing.T) {
		t.Parallel()
		c := node.In(t).Run("six", "--network="+six, rig.HTTP)
		want(t, "network", c.Await("healthy").Networks[six], c.Address(six))
	})
}

// two runs a container on two networks, of which mode is its NetworkMode.
func two(t *testing.T, n *rig.Node, mode, other string, flags ...string) {
	t.Helper()
	c := n.Create("two", append(flags, rig.HTTP, "--network="+mode)...)
	n.Command(t, "network", "connect", other, c.ID)
	c.Docker("start")
	s := c.Await("healthy")
	for _, network := range []string{mode, other} {
		want(t, "network "+network, s.Networks[network], c.Address(network))
	}
}

// subnet is the beginning of all addresses of a network.
func subnet(t *testing.T, network string) string {
	t.Helper()
	prefix, err := netip.ParsePrefix(r.Command(t, "network", "inspect", "--format", "{{(index .IPAM.Config 0).Subnet}}", network))
	if err != nil {
		t.Fatal(err)
	}
	octets := strings.Split(prefix.Addr().String(), ".")
	return strings.Join(octets[:prefix.Bits()/8], ".") + "."
}

// bodyFrom is the label by which only an answer to a request for this host passes: the server repeats that in the body.
func bodyFrom(t *testing.T, host string) string {
	t.Helper()
	return "--label=eru.health.http.body=^GET / " + regexp.QuoteMeta(host)
}

// TestSharedNetwork follows a container whose network is another one's, when that comes back at another address.
func TestSharedNetwork(t *testing.T) {
	t.Parallel()
	n := r.Node(t, etcdtest.Start(t))
	n.Start().AwaitReady()
	network := n.Network("shared")
	target := n.Run("target", rig.HTTP, "--network="+network)
	was := target.Await("healthy").Networks[network]
	sharer := n.Run("sharer", "--network=container:"+target.ID, "--env=PORTS=5001", "--env=CONTROL=off", "--label=eru.health.http.port=5001")
	want(t, "address", sharer.Await("healthy").Networks[network], was)

	target.Docker("stop")
	s := sharer.Await("unhealthy")
	want(t, "reason", s.Reason, "no_address")
	n.Run("squatter", "--network="+network).Await("healthy") // takes the address that is free now
	target.Docker("start")
	target.Await("healthy")
	sharer.AwaitStatus("nobody there: it is still in the network that the target had", func(s rig.Status) bool {
		return s.State == "unhealthy" && s.Reason == "connect_refused"
	})
	sharer.Docker("restart", "--time=1")
	now := sharer.Await("healthy").Networks[network]
	want(t, "address", now, target.Address(network))
	if now == was {
		t.Errorf("the target came back at %s, so nothing was shown", was)
	}
}

// TestIPv6 needs an engine that gives a container no IPv4 address; Docker before 27 cannot, so this one is made up.
func TestIPv6(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatalf("this test needs IPv6 on the loopback interface: %v", err)
	}
	server := &http.Server{Handler: http.NotFoundHandler()}
	go func() { _ = server.Serve(l) }()
	defer server.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	docker := dockertest.New(t, dockertest.Config{})
	n := r.Node(t, etcdtest.Start(t))
	n.Start("--docker.endpoint", docker.Endpoint()).AwaitReady()
	key, value, _ := strings.Cut(n.Label(), "=")
	id := docker.Run(dockertest.Spec{Name: "six", Networks: map[string]string{"v6": "::1"}, Labels: map[string]string{
		key: value, "eru.health.http.port": port, "eru.health.http.codes": "404",
	}}).ID
	var s rig.Status
	n.Await(t, "healthy", func() bool {
		e, ok := n.Last("status/six/six/" + n.Name + "/" + id)
		if ok {
			s = e.Status(t)
		}
		return s.State == "healthy"
	}, func() string { return s.State + " " + s.Detail })
	want(t, "endpoint", s.Endpoints[port], "[::1]:"+port)
}

func want[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
