package etcdtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// namespaces of a run are named after it, so that the next one finds what a
// killed one has left.
const namespacePrefix = "eru-etcd-"

// host is a machine of its own as far as the network goes: a namespace whose
// one cable goes to a switch, to which this machine is wired as well. The switch
// stands in a namespace too, where no rule of this machine's firewall is.
type host struct {
	t         testing.TB
	namespace string
	address   string
	hardware  string
	others    []*host // this machine's first, which has no namespace
	device    string  // that is wired to the switch
}

// newNetwork makes n hosts that end with the test.
func newNetwork(t testing.TB, n int) []*host {
	t.Helper()
	sweepNamespaces(t)
	base, id := freeSubnet(t)
	hub := fmt.Sprintf("%s%d-%s", namespacePrefix, os.Getpid(), id)
	addNamespace(t, hub)
	run(t, "-n", hub, "link", "add", "switch", "type", "bridge")
	run(t, "-n", hub, "link", "set", "switch", "up")
	addr := base
	all := make([]*host, 0, n+1)
	for i := range n + 1 {
		addr = addr.Next()
		four := addr.As4()
		h := &host{t: t, address: addr.String(), device: "eth0", hardware: fmt.Sprintf("02:00:%02x:%02x:%02x:%02x", four[0], four[1], four[2], four[3])}
		if i == 0 {
			h.device = "eru" + id
			run(t, "-n", hub, "link", "add", "p0", "type", "veth", "peer", "name", h.device, "netns", strconv.Itoa(os.Getpid()))
		} else {
			h.namespace = fmt.Sprintf("%s-%d", hub, i)
			addNamespace(t, h.namespace)
			run(t, "-n", hub, "link", "add", "p"+strconv.Itoa(i), "type", "veth", "peer", "name", h.device, "netns", h.namespace)
			h.run("link", "set", "lo", "up")
		}
		run(t, "-n", hub, "link", "set", "p"+strconv.Itoa(i), "master", "switch", "up")
		h.run("link", "set", h.device, "address", h.hardware)
		h.run("addr", "add", h.address+"/28", "dev", h.device)
		h.run("link", "set", h.device, "up")
		all = append(all, h)
	}
	for i, h := range all {
		h.others = append(append(h.others, all[:i]...), all[i+1:]...)
		h.heal()
	}
	return all[1:]
}

// freeSubnet is one of 16 addresses within 198.18.0.0/15, which RFC 2544 keeps
// for tests, and what tells it from the others.
func freeSubnet(t testing.TB) (netip.Addr, string) {
	t.Helper()
	taken, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for {
		n := rand.Uint32N(1 << 13)
		base := netip.AddrFrom4([4]byte{198, 18 | byte(n>>12), byte(n >> 4), byte(n << 4)})
		free := true
		for _, a := range taken {
			prefix, err := netip.ParsePrefix(a.String())
			free = free && (err != nil || !prefix.Overlaps(netip.PrefixFrom(base, 28)))
		}
		if free {
			return base, fmt.Sprintf("%04x", n)
		}
	}
}

// cut and heal work on what each host knows of its neighbours: a packet to a
// hardware address that nobody has is lost without a word, as behind a router.
const nobody = "02:00:00:00:00:00"

func (h *host) cut() { h.wire(h.others, nobody) }

func (h *host) cutPeers() { h.wire(h.others[1:], nobody) }

func (h *host) heal() { h.wire(h.others, "") }

// wire says where this host and some others find each other; "" is where they
// are.
func (h *host) wire(others []*host, hardware string) {
	h.t.Helper()
	set := func(on, to *host) {
		at := hardware
		if at == "" {
			at = to.hardware
		}
		on.run("neigh", "replace", to.address, "lladdr", at, "nud", "permanent", "dev", on.device)
	}
	for _, other := range others {
		set(h, other)
		set(other, h)
	}
}

// run runs ip on the host.
func (h *host) run(args ...string) {
	h.t.Helper()
	if h.namespace != "" {
		args = append([]string{"-n", h.namespace}, args...)
	}
	run(h.t, args...)
}

// command runs a program on the host; it is the process that is started, not a
// child of it.
func (h *host) command(program string, args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", h.namespace, program}, args...)...)
}

func run(t testing.TB, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("running ip %s (of iproute2, as root): %v: %s", strings.Join(args, " "), err, out)
	}
}

func addNamespace(t testing.TB, name string) {
	t.Helper()
	run(t, "netns", "add", name)
	t.Cleanup(func() { run(t, "netns", "del", name) })
}

// sweepNamespaces removes those of runs that were killed. Their processes ended
// with them, and their devices go with the namespaces.
func sweepNamespaces(t testing.TB) {
	t.Helper()
	out, err := exec.Command("ip", "netns", "list").CombinedOutput()
	if err != nil {
		t.Fatalf("running ip netns list (of iproute2, as root): %v: %s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		rest, ok := strings.CutPrefix(name, namespacePrefix)
		run, _, _ := strings.Cut(rest, "-")
		if pid, err := strconv.Atoi(run); ok && err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			_ = exec.Command("ip", "netns", "del", name).Run() // another run may be sweeping as well
		}
	}
}
