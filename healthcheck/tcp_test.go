package healthcheck_test

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/projecteru2/eru-agent/healthcheck"
)

// socketsOf lists the states of the sockets that have port on either side.
func socketsOf(t *testing.T, port uint16) map[string]int {
	t.Helper()
	f, err := os.Open("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	states, want := map[string]int{}, fmt.Sprintf(":%04X", port)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if strings.HasSuffix(fields[1], want) || strings.HasSuffix(fields[2], want) {
			states[fields[3]]++
		}
	}
	return states
}

const (
	stateTimeWait = "06"
	stateListen   = "0A"
)

func TestTCPLeavesNothingBehind(t *testing.T) {
	c := listen(t, "127.0.0.1", silent)
	for range 200 {
		expect(t, ask(t, "tcp", c.addr, prompt, nil), "", "")
	}
	if states := socketsOf(t, c.addr.Port()); states[stateTimeWait] > 0 || states[stateListen] != 1 {
		t.Errorf("sockets by state: %v", states)
	}
	// The last ACK is held back for 40 ms; a prober that is preempted for longer
	// in between is seen by accept.
	if n := c.accepted.Load(); n > 10 {
		t.Errorf("%d of 200 probes were accepted", n)
	}
}

func TestHTTPLeavesNoTimeWait(t *testing.T) {
	c := listen(t, "127.0.0.1", saying(ok))
	for range 50 {
		expect(t, ask(t, "http", c.addr, prompt, nil), "", "")
	}
	if states := socketsOf(t, c.addr.Port()); states[stateTimeWait] > 0 {
		t.Errorf("sockets by state: %v", states)
	}
}

func TestTCPOverIPv6(t *testing.T) {
	c := listen(t, "::1", silent)
	expect(t, ask(t, "tcp", c.addr, prompt, nil), "", "")
}

// closedPort is one that was just free.
func closedPort(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

func TestRefused(t *testing.T) {
	for _, kind := range []string{"http", "tcp"} {
		expect(t, ask(t, kind, closedPort(t), prompt, nil), "connect_refused", "connecting: connection refused")
	}
}

// fullBacklog is a listener that accepts nobody and takes no more.
func fullBacklog(t *testing.T) netip.AddrPort {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(name.(*unix.SockaddrInet4).Port))
	conn, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return addr
}

func TestBlackHole(t *testing.T) {
	addr := fullBacklog(t)
	for _, kind := range []string{"http", "tcp"} {
		expect(t, ask(t, kind, addr, impatient, nil), "timeout", "connecting: no answer in time")
	}
}

func TestPortsAreProbedSideBySide(t *testing.T) {
	good, hung := listen(t, "127.0.0.1", silent), fullBacklog(t)
	ports := fmt.Sprintf("%d,%d", good.addr.Port(), hung.Port())
	v := ask(t, "tcp", good.addr, impatient, labels{"eru.health.tcp.ports": ports})
	expect(t, v, "timeout", "connecting: no answer in time")
	if want := fmt.Sprintf("tcp :%d", hung.Port()); v.Probe != want {
		t.Errorf("%q failed, want %q", v.Probe, want)
	}
	// A refusal ends the wait for the one that hangs.
	ports = fmt.Sprintf("%d,%d", hung.Port(), closedPort(t).Port())
	expect(t, ask(t, "tcp", good.addr, prompt, labels{"eru.health.tcp.ports": ports}), "connect_refused", "connecting: connection refused")
}

func TestReasonsOfErrors(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want healthcheck.Reason
	}{
		{syscall.EMFILE, "agent"}, {syscall.ENFILE, "agent"}, {syscall.ENOMEM, "agent"}, {syscall.ENOBUFS, "agent"}, {syscall.EADDRNOTAVAIL, "agent"},
		{syscall.EHOSTUNREACH, "unreachable"}, {syscall.ENETUNREACH, "unreachable"}, {syscall.EPERM, "unreachable"},
		{syscall.ETIMEDOUT, "timeout"}, {syscall.ECONNREFUSED, "connect_refused"}, {syscall.ECONNRESET, "reset"}, {syscall.EPIPE, "reset"},
	} {
		v := healthcheck.FailFrom("connecting", &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", tt.err)})
		expect(t, v, tt.want, "connecting: "+tt.err.Error())
	}
}

func TestDetailsArePrintableAndShort(t *testing.T) {
	v := healthcheck.Fail(healthcheck.ReasonAnswer, "%s", "a\x1b[31m\u202eb\xff"+strings.Repeat("é", 300))
	expect(t, v, "answer", "a?[31m?b?é")
	if !strings.HasSuffix(v.Detail, "é…") {
		t.Errorf("%q", v.Detail)
	}
}
