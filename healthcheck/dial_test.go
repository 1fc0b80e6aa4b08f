package healthcheck

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func loopback(last byte) netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 0, last}) }

// TestConnectedToItself holds that nobody is taken for somebody: a socket on the
// loopback interface may be given the port that it connects to.
func TestConnectedToItself(t *testing.T) {
	for _, addr := range []netip.Addr{loopback(1), netip.IPv6Loopback()} {
		port := freePort(t, addr)
		bound := func(fd int) error {
			var own unix.Sockaddr = &unix.SockaddrInet4{Port: int(port), Addr: loopback(1).As4()}
			if addr.Is6() {
				own = &unix.SockaddrInet6{Port: int(port), Addr: addr.As16()}
			}
			return errors.Join(unix.Bind(fd, own), lingerZero(fd))
		}
		if err := (Target{Addr: addr}).reach(t.Context(), port, bound); !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("connecting to itself on %s: %v, want that nobody listens", addr, err)
		}
		for _, method := range []string{"GET", "HEAD"} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			s, err := Target{Addr: addr}.open(port, bound)
			if err != nil {
				t.Fatal(err)
			}
			conn := s.bind(ctx)
			if err := conn.establish(); err != nil {
				t.Fatal(err)
			}
			h := &httpProbe{port: port, method: method, path: "/", codes: codes{{200, 399}}}
			if v := h.over(ctx, conn, Target{Addr: addr}, time.Now()); v.Reason != ReasonRefused {
				t.Errorf("%s to itself on %s: %+v, want that nobody listens", method, addr, v)
			}
			_ = conn.Close()
			cancel()
		}
	}
}

func freePort(t *testing.T, addr netip.Addr) uint16 {
	t.Helper()
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).AddrPort().Port()
}

// TestSlowHandshake connects to a listener whose queue is full, so that the
// kernel answers no SYN until somebody accepts.
func TestSlowHandshake(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: loopback(1).As4()}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	port := uint16(name.(*unix.SockaddrInet4).Port)
	target := Target{Addr: loopback(1)}
	waiting, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(netip.AddrPortFrom(loopback(1), port)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = waiting.Close() }()

	t.Run("times out", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := target.reach(ctx, port, lingerZero); classify(err) != ReasonTimeout {
			t.Errorf("got %v, want that the time is over", err)
		}
	})
	t.Run("is cut off", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer time.AfterFunc(50*time.Millisecond, cancel).Stop()
		if _, err := target.Dial(ctx, port); err == nil {
			t.Error("connected to a full queue")
		}
	})
	t.Run("is waited for", func(t *testing.T) {
		defer time.AfterFunc(50*time.Millisecond, func() { _, _, _ = unix.Accept(fd) }).Stop()
		conn, err := target.Dial(t.Context(), port) // the kernel sends the SYN again after a second
		if err != nil {
			t.Fatal(err)
		}
		if got := conn.RemoteAddr().String(); got != netip.AddrPortFrom(loopback(1), port).String() {
			t.Errorf("connected to %s", got)
		}
		_ = conn.Close()
	})
}
