package monitor_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/projecteru2/eru-agent/selfmon/monitor"
)

func TestWire(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	open := l.Addr().(*net.TCPAddr).AddrPort()
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := other.Addr().(*net.TCPAddr).AddrPort()
	_ = other.Close()
	nobody := deaf(t)
	answers, fit := monitor.NewWire().Ask(t.Context(), []netip.AddrPort{open, closed, nobody})
	if !fit || !answers[open] || !answers[closed] || answers[nobody] || len(answers) != 3 {
		t.Errorf("fit %t: %v", fit, answers)
	}
	_ = l.Close()
}

// One who has no time left has not asked.
func TestWireWithoutTime(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if answers, fit := monitor.NewWire().Ask(ctx, []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:1")}); fit {
		t.Errorf("it was fit: %v", answers)
	}
}

// What this host would send by another way than to the silent one is one of its
// own networks, or none that is known.
func TestAlong(t *testing.T) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		prefix, err := netip.ParsePrefix(a.String())
		if err != nil || prefix.Addr().IsLoopback() || !prefix.Addr().Is4() {
			continue
		}
		if monitor.NewWire().Along(netip.MustParseAddr("127.0.0.1"), prefix.Addr().Next()) {
			t.Errorf("%s lies on the loopback interface's way", prefix.Addr().Next())
		}
	}
	for host, place := range map[string]string{"127.1.2.3": "127.3.2.1", "192.0.2.1": "192.0.2.1"} {
		if !monitor.NewWire().Along(netip.MustParseAddr(host), netip.MustParseAddr(place)) {
			t.Errorf("%s does not lie on the way of %s", place, host)
		}
	}
}

// deaf is a place at which the kernel drops every attempt to connect, as the
// network does where no host is.
func deaf(t *testing.T) netip.AddrPort {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	at := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(name.(*unix.SockaddrInet4).Port))
	for range 10 { // until its queue is full
		conn, err := net.DialTimeout("tcp", at.String(), 300*time.Millisecond)
		if err != nil {
			return at
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	t.Fatal("its queue does not fill")
	return at
}
