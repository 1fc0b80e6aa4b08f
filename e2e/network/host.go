package network

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Host is a machine of its own as far as the network goes.
type Host struct {
	Address string // at which all others reach it

	network   *Network
	namespace string // "" for this machine
	hardware  string
	device    string // that is wired to the switch
	port      string // of the switch
}

// Command runs a program on the host; it is the process that is started, not a child of it.
func (h *Host) Command(program string, args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", h.namespace, program}, args...)...)
}

// Listen listens on the host; who serves is in this process.
func (h *Host) Listen(address string) (net.Listener, error) {
	var l net.Listener
	err := h.Visit(func() error {
		var err error
		l, err = net.Listen("tcp", address)
		return err
	})
	return l, err
}

// Dial connects from the host; who asks is in this process.
func (h *Host) Dial(address string) (net.Conn, error) {
	var c net.Conn
	err := h.Visit(func() error {
		var err error
		c, err = net.DialTimeout("tcp", address, 2*time.Second)
		return err
	})
	return c, err
}

// Visit calls do on the host. A socket that do makes stays there.
func (h *Host) Visit(do func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread, which has changed, ends with the goroutine
		done <- h.visit(do)
	}()
	return <-done
}

func (h *Host) visit(do func() error) error {
	ns, err := os.Open("/run/netns/" + h.namespace)
	if err != nil {
		return fmt.Errorf("going to host %s: %w", h.Address, err)
	}
	defer func() { _ = ns.Close() }()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("going to host %s: %w", h.Address, err)
	}
	return do()
}

// Keep makes every address of a prefix the host's own, for itself alone: as a bridge's that no other machine knows.
func (h *Host) Keep(prefix string) error {
	return run(h.on("route", "add", "local", prefix, "dev", "lo")...)
}

// Own is Keep of a prefix that the other hosts reach. This machine does not: its routes are not ours.
func (h *Host) Own(prefix string) error {
	err := h.Keep(prefix)
	for _, other := range h.network.Hosts {
		if other != h && err == nil {
			err = run(other.on("route", "add", prefix, "via", h.Address)...)
		}
	}
	return err
}

// A host is cut off by what each of two knows of the other: a packet to a hardware address that nobody has is lost without
// a word, as behind a router.
const nobody = "02:00:00:00:00:00"

// Cut loses every packet from and to the host.
func (h *Host) Cut() error { return h.CutFrom(h.network.others(h)...) }

// CutFrom loses every packet between the host and some others.
func (h *Host) CutFrom(others ...*Host) error {
	return h.wire(others, func(*Host) string { return nobody })
}

// Heal ends Cut and CutFrom.
func (h *Host) Heal() error {
	return h.wire(h.network.others(h), func(to *Host) string { return to.hardware })
}

// Off pulls the hosts' cables, as machines do that lose their power: all at once, which one command for each would not be on
// a busy machine. Whoever asks for a host's hardware address gets no answer.
func Off(hosts ...*Host) error {
	if len(hosts) == 0 {
		return nil
	}
	var cables strings.Builder
	for _, h := range hosts {
		fmt.Fprintf(&cables, "link set %s down\n", h.port)
	}
	err := batch(cables.String(), "-n", hosts[0].network.hub)
	for _, h := range hosts {
		for _, other := range h.network.others(h) {
			err = errors.Join(err, run(other.on("neigh", "del", h.Address, "dev", other.device)...))
		}
	}
	return err
}

// On ends Off.
func (h *Host) On() error {
	return errors.Join(run("-n", h.network.hub, "link", "set", h.port, "up"), h.Heal())
}

// wire says where this host and some others find each other.
func (h *Host) wire(others []*Host, at func(to *Host) string) error {
	var errs []error
	set := func(on, to *Host) {
		errs = append(errs, run(on.on("neigh", "replace", to.Address, "lladdr", at(to), "nud", "permanent", "dev", on.device)...))
	}
	for _, other := range others {
		set(h, other)
		set(other, h)
	}
	return errors.Join(errs...)
}

// on are the arguments of an ip that runs on the host.
func (h *Host) on(args ...string) []string {
	if h.namespace == "" {
		return args
	}
	return slices.Concat([]string{"-n", h.namespace}, args)
}
