package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

const (
	viaNetns = "--label=eru.health.via=netns"
	viaBoth  = "--label=eru.health.via=both"
	netns    = "--healthcheck.netns=true"
)

// TestInside asks containers that the node itself cannot reach.
func TestInside(t *testing.T) {
	t.Parallel()
	node := r.Node(t, etcdtest.Start(t))
	node.Start(netns).AwaitReady()
	apart := macvlan(t, node)
	internal := node.Network("internal", "--internal")

	for what, flags := range map[string][]string{
		"none":                {"--network=none"},
		"macvlan":             {"--network=" + apart},
		"internal":            {"--network=" + internal},
		"the node's own":      {"--network=host", "--env=PORTS=" + rig.FreePort(t), "--env=CONTROL=off"},
		"over the default":    {},
		"none, TCP and HTTPS": {"--network=none", "--env=TLS=1", "--label=eru.health.http.scheme=https", "--label=eru.health.http.tls.skip_verify=true", "--label=eru.health.tcp.ports=8081"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			port := "80"
			for _, f := range flags {
				if list, ok := strings.CutPrefix(f, "--env=PORTS="); ok {
					port = list
				}
			}
			c := node.In(t).Run("inside", append(flags, viaNetns, "--label=eru.health.http.port="+port)...)
			c.Await("healthy")
			c.Docker("pause")
			c.Await("paused")
			c.Docker("unpause")
			c.Await("healthy")
			c.Docker("stop", "--time=1")
			c.Await("stopped")
			c.Docker("start") // another life, another namespace
			c.Await("healthy")
		})
	}
	t.Run("nobody listens", func(t *testing.T) {
		t.Parallel()
		c := node.In(t).Run("idle", "--network=none", viaNetns, "--label=eru.health.tcp.ports=81")
		s := c.AwaitStatus("refusal", func(s rig.Status) bool { return s.Reason == "connect_refused" })
		want(t, "state", s.State, "starting")
	})
	t.Run("macvlan from the host", func(t *testing.T) { // or nothing was shown
		t.Parallel()
		c := node.In(t).Run("outside", "--network="+apart, rig.HTTP, "--label=eru.health.timeout=500ms")
		c.AwaitStatus("no way to it", func(s rig.Status) bool { return s.State == "starting" && s.Reason != "" })
	})
	t.Run("macvlan from both sides", func(t *testing.T) {
		t.Parallel()
		c := node.In(t).Run("both", "--network="+apart, rig.HTTP, viaBoth, "--label=eru.health.timeout=500ms")
		s := c.AwaitStatus("a broken network", func(s rig.Status) bool { return s.Reason == "network" })
		if !strings.Contains(s.Detail, "it passes inside, but from the host: ") {
			t.Errorf("detail %q", s.Detail)
		}
	})
}

// macvlan is a network that this machine has no way to, on an interface of its own.
func macvlan(t *testing.T, n *rig.Node) string {
	t.Helper()
	parent := fmt.Sprintf("eru%d", rand.N(1<<30))
	ip(t, "link", "add", parent, "type", "veth") // its other end is nowhere; not every kernel has type dummy
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", parent).Run() })
	ip(t, "link", "set", parent, "up")
	return n.Network("macvlan", "--driver=macvlan", "--opt=parent="+parent, "--subnet", fmt.Sprintf("10.%d.%d.0/24", 128+rand.N(100), rand.N(256)))
}

func ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// within runs a program in the network namespace of a container.
func within(t *testing.T, c *rig.Container, program ...string) {
	t.Helper()
	pid := c.Docker("inspect", "--format", "{{.State.Pid}}")
	if out, err := exec.Command("nsenter", append([]string{"--net=/proc/" + pid + "/ns/net"}, program...)...).CombinedOutput(); err != nil {
		t.Fatalf("%s in %s: %v: %s", strings.Join(program, " "), c.Name, err, out)
	}
}

// TestBothSides breaks the application of a container, its network, and both.
func TestBothSides(t *testing.T) {
	t.Parallel()
	n := r.Node(t, etcdtest.Start(t))
	n.Start(netns).AwaitReady()
	network := n.Network("both")
	c := n.Run("both", "--network="+network, rig.HTTP, viaBoth, "--label=eru.health.timeout=500ms")
	c.Await("healthy")
	because := func(reason, detail string) {
		t.Helper()
		s := c.AwaitStatus("reason "+reason, func(s rig.Status) bool { return s.State == "unhealthy" && s.Reason == reason })
		if !strings.Contains(s.Detail, detail) {
			t.Errorf("reason %s, detail %q, want %q", reason, s.Detail, detail)
		}
	}
	const fromHost = "http :80/: it passes inside, but from the host: "

	c.Behave("code=503")
	because("http_code", "inside: 503")
	c.Behave("refuse")
	because("connect_refused", "inside: connecting: connection refused")
	c.Behave("silent")
	because("timeout", "inside: ")
	c.Behave("ok")
	c.Await("healthy")

	within(t, c, "ip", "link", "set", "eth0", "down")
	because("network", fromHost)
	within(t, c, "ip", "link", "set", "eth0", "up")
	c.Await("healthy")

	firewall := func(verb string) { // that says nothing; the control server stays in reach
		t.Helper()
		within(t, c, "iptables", verb, "INPUT", "-i", "eth0", "-p", "tcp", "--dport", "80", "-j", "DROP")
	}
	firewall("--append")
	because("network", fromHost+"timeout: ")
	c.Behave("refuse")
	because("connect_refused", "inside: connecting: connection refused") // the application is to be mended first
	c.Behave("ok")
	because("network", fromHost+"timeout: ")
	firewall("--delete")
	c.Await("healthy")
}

// TestAddressInOtherHands gives a container's address to another one, while the agent goes by the old one.
func TestAddressInOtherHands(t *testing.T) {
	t.Parallel()
	n := r.Node(t, etcdtest.Start(t))
	n.Start(netns).AwaitReady()
	network := n.Network("reused")
	victim := func(via string) *rig.Container {
		return n.Run("victim", "--network="+network, rig.HTTP, via, "--label=eru.health.timeout=500ms")
	}
	inside, outside := victim(viaNetns), victim("--label=eru.health.via=host")
	thief := n.Run("thief", "--network="+network, rig.HTTP)
	thief.Await("healthy")
	for _, c := range []*rig.Container{inside, outside} {
		c.Await("healthy")
		address := c.Address(network) + "/16"
		within(t, c, "ip", "addr", "flush", "dev", "eth0")
		within(t, thief, "ip", "addr", "add", address, "dev", "eth0")
		ip(t, "neigh", "flush", "to", c.Address(network)) // else this host finds it out seconds later
	}
	inside.Await("unhealthy")
	// From the host the thief answers for it: what the other vantage is for.
	thief.Behave("code=503")
	outside.AwaitStatus("the thief's answer", func(s rig.Status) bool { return s.Reason == "http_code" })
	thief.Behave("ok")
	outside.Await("healthy")
	// Of all that the other one has heard nothing.
	within(t, thief, "ip", "addr", "del", inside.Address(network)+"/16", "dev", "eth0")
	within(t, inside, "ip", "addr", "add", inside.Address(network)+"/16", "dev", "eth0")
	inside.Await("healthy")
	if got := strings.Join(inside.Course(), " "); got != "healthy unhealthy healthy" {
		t.Errorf("course %q", got)
	}
	for _, e := range inside.Events() {
		if s := e.Status(t); s.State == "unhealthy" && s.Reason != "unreachable" && s.Reason != "timeout" {
			t.Errorf("reason %q, detail %q", s.Reason, s.Detail)
		}
	}
}

// TestSharedInside follows a container into the namespace of another one, which keeps it when the owner comes back with a
// new one.
func TestSharedInside(t *testing.T) {
	t.Parallel()
	n := r.Node(t, etcdtest.Start(t))
	n.Start(netns).AwaitReady()
	target := n.Run("target", "--network=none", rig.HTTP, viaNetns)
	target.Await("healthy")
	sharer := n.Run("sharer", "--network=container:"+target.ID, viaNetns, "--env=PORTS=5001", "--env=CONTROL=off", "--label=eru.health.http.port=5001")
	sharer.Await("healthy")
	target.Docker("kill")
	target.Await("stopped")
	target.Docker("start")
	target.Await("healthy")
	want(t, "the sharer's state", sharer.Await("healthy").State, "healthy") // it is where it was
}

// TestBarredFromInside starts an agent without the capabilities, and one that was not told to use them.
func TestBarredFromInside(t *testing.T) {
	t.Parallel()
	if err := os.Chmod(filepath.Dir(r.Binary()), 0o755); err != nil { // for the agent's user
		t.Fatal(err)
	}
	// user is an account that has these capabilities and no other.
	user := func(capabilities ...uintptr) func(*exec.Cmd) {
		return func(c *exec.Cmd) {
			c.SysProcAttr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534, Groups: []uint32{dockerGroup(t)}}
			c.SysProcAttr.AmbientCaps = capabilities
		}
	}
	for what, prepare := range map[string]func(*exec.Cmd){
		"neither":             user(),
		"CAP_SYS_ADMIN only":  user(unix.CAP_SYS_ADMIN),
		"CAP_SYS_PTRACE only": user(unix.CAP_SYS_PTRACE),
		"root without CAP_SYS_ADMIN": func(c *exec.Cmd) {
			c.Args = append([]string{"setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", c.Path}, c.Args[1:]...)
			c.Path = "/usr/bin/setpriv"
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			n := r.Node(t, etcdtest.Start(t))
			n.StartAs("", prepare, netns).AwaitReady()
			s := n.Run("barred", "--network=none", rig.HTTP, viaNetns).Await("invalid")
			want(t, "reason", s.Reason, "capability")
			if !strings.Contains(s.Detail, "CAP_SYS_ADMIN and CAP_SYS_PTRACE: install netns.conf") || strings.Contains(s.Detail, "…") {
				t.Errorf("detail %q", s.Detail)
			}
			n.Run("neighbour", rig.HTTP).Await("healthy")
		})
	}
	t.Run("with both, as a user of its own", func(t *testing.T) {
		t.Parallel()
		n := r.Node(t, etcdtest.Start(t))
		n.StartAs("", user(unix.CAP_SYS_ADMIN, unix.CAP_SYS_PTRACE), netns).AwaitReady()
		n.Run("in", "--network=none", rig.HTTP, viaNetns).Await("healthy")
	})
	t.Run("not told to", func(t *testing.T) {
		t.Parallel()
		n := r.Node(t, etcdtest.Start(t))
		n.Start().AwaitReady()
		s := n.Run("off", rig.HTTP, viaBoth).Await("invalid")
		if !strings.Contains(s.Detail, `eru.health.via="both": want host`) || !strings.Contains(s.Detail, "healthcheck.netns: true") {
			t.Errorf("detail %q", s.Detail)
		}
	})
}

// dockerGroup is the group that may speak to Docker.
func dockerGroup(t *testing.T) uint32 {
	t.Helper()
	info, err := os.Stat("/var/run/docker.sock")
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Gid
}
