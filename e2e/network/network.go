// Package network owns machines that are machines as far as the network goes: namespaces of the kernel, each with a cable
// to one switch, to which this machine is wired as well. It can lose what goes between any two of them, and switch one off.
// What runs on a machine is for others. It needs root, and ip of iproute2.
package network

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
)

// Network is a switch and the hosts on it.
type Network struct {
	Hosts []*Host

	id   string
	hub  string // the switch's namespace, where no rule of this machine's firewall is
	here *Host  // this machine
	made []string
}

// namespacePrefix begins the names of all namespaces. A run's own number follows, so that the next one finds what a killed
// one has left.
const namespacePrefix = "eru-net-"

// most is how many hosts there can be: 16 addresses, less the two that are nobody's and this machine's.
const most = 13

// New makes n hosts that see each other and this machine. Close removes them, whatever New returned.
func New(n int) (*Network, error) {
	w := &Network{}
	if n > most {
		return w, fmt.Errorf("making %d hosts: there is room for %d", n, most)
	}
	if err := sweep(); err != nil {
		return w, err
	}
	base, id, err := freeSubnet()
	if err != nil {
		return w, err
	}
	w.id, w.hub = id, fmt.Sprintf("%s%d-%s", namespacePrefix, os.Getpid(), id)
	if err := w.namespace(w.hub); err != nil {
		return w, err
	}
	err = errors.Join(run("-n", w.hub, "link", "add", "switch", "type", "bridge"), run("-n", w.hub, "link", "set", "switch", "up"))
	for i := range n + 1 {
		base = base.Next()
		if err == nil {
			err = w.plug(i, base)
		}
	}
	for _, h := range w.Hosts {
		if err == nil {
			err = h.Heal()
		}
	}
	return w, err
}

// plug wires host i to the switch; 0 is this machine.
func (w *Network) plug(i int, address netip.Addr) error {
	four := address.As4()
	h := &Host{Address: address.String(), network: w, port: "p" + strconv.Itoa(i), device: "eth0",
		hardware: fmt.Sprintf("02:00:%02x:%02x:%02x:%02x", four[0], four[1], four[2], four[3])}
	cable := []string{"-n", w.hub, "link", "add", h.port, "type", "veth", "peer", "name", h.device}
	if i == 0 {
		// From here, because a process's namespace is that of its first thread, which may be on a visit.
		h.device = "eru" + w.id
		cable = []string{"link", "add", h.device, "type", "veth", "peer", "name", h.port, "netns", w.hub}
		w.here = h
	} else {
		h.namespace = fmt.Sprintf("%s-%d", w.hub, i)
		if err := w.namespace(h.namespace); err != nil {
			return err
		}
		cable = append(cable, "netns", h.namespace)
		w.Hosts = append(w.Hosts, h)
	}
	for _, args := range [][]string{
		cable,
		{"-n", w.hub, "link", "set", h.port, "master", "switch", "up"},
		h.on("link", "set", h.device, "address", h.hardware),
		h.on("addr", "add", h.Address+"/28", "dev", h.device),
		h.on("link", "set", h.device, "up"),
	} {
		if err := run(args...); err != nil {
			return err
		}
	}
	if i == 0 {
		return nil
	}
	return run(h.on("link", "set", "lo", "up")...)
}

// Close removes all hosts; the devices go with them. What runs there must have ended.
func (w *Network) Close() error {
	var errs []error
	for i := len(w.made) - 1; i >= 0; i-- {
		errs = append(errs, run("netns", "del", w.made[i]))
	}
	w.made = nil
	return errors.Join(errs...)
}

func (w *Network) namespace(name string) error {
	if err := run("netns", "add", name); err != nil {
		return err
	}
	w.made = append(w.made, name)
	return nil
}

// others are all hosts but one, and this machine.
func (w *Network) others(than *Host) []*Host {
	all := []*Host{w.here}
	for _, h := range w.Hosts {
		if h != than {
			all = append(all, h)
		}
	}
	return all
}

func run(args ...string) error { return batch("", args...) }

// batch is run with commands for ip's standard input, if there are any.
func batch(commands string, args ...string) error {
	if commands != "" {
		args = append(args, "-batch", "-")
	}
	c := exec.Command("ip", args...)
	c.Stdin = strings.NewReader(commands)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("running ip %s (of iproute2, as root): %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// freeSubnet is one of 16 addresses within 198.18.0.0/15, which RFC 2544 keeps for tests, and what tells it from the others.
func freeSubnet() (netip.Addr, string, error) {
	taken, err := net.InterfaceAddrs()
	if err != nil {
		return netip.Addr{}, "", fmt.Errorf("looking for a free network: %w", err)
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
			return base, fmt.Sprintf("%04x", n), nil
		}
	}
}

// sweep removes the namespaces of runs that were killed. Their processes ended with them, and their devices go with the
// namespaces.
func sweep() error {
	out, err := exec.Command("ip", "netns", "list").CombinedOutput()
	if err != nil {
		return fmt.Errorf("running ip netns list (of iproute2, as root): %w: %s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		rest, ok := strings.CutPrefix(name, namespacePrefix)
		owner, _, _ := strings.Cut(rest, "-")
		if pid, err := strconv.Atoi(owner); ok && err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			_ = exec.Command("ip", "netns", "del", name).Run() // another run may be sweeping as well
		}
	}
	return nil
}
