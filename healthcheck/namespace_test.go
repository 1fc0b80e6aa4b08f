package healthcheck_test

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/projecteru2/eru-agent/healthcheck"
)

// room is a network namespace of the kernel's that has only a loopback
// interface. It needs root.
type room struct {
	t    testing.TB
	file *os.File
}

func newRoom(t testing.TB) *room {
	t.Helper()
	r := &room{t: t}
	aside(t, func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("making a network namespace, as root: %w", err)
		}
		f, err := os.Open("/proc/thread-self/ns/net")
		r.file = f
		return err
	})
	t.Cleanup(func() { _ = r.file.Close() })
	r.loopback(true)
	return r
}

// aside runs do on a thread of its own, which may leave its namespace meanwhile.
func aside(t testing.TB, do func() error) {
	t.Helper()
	over := make(chan error)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			over <- err
			return
		}
		defer func() { _ = home.Close() }()
		err = do()
		if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back == nil {
			runtime.UnlockOSThread()
		}
		over <- err
	}()
	if err := <-over; err != nil {
		t.Fatal(err)
	}
}

// in runs do inside.
func (r *room) in(do func() error) {
	r.t.Helper()
	aside(r.t, func() error {
		if err := unix.Setns(int(r.file.Fd()), unix.CLONE_NEWNET); err != nil {
			return err
		}
		return do()
	})
}

// loopback brings its interface up or down.
func (r *room) loopback(up bool) {
	r.t.Helper()
	r.in(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		lo, err := unix.NewIfreq("lo")
		if err != nil {
			return err
		}
		lo.SetUint16(0)
		if up {
			lo.SetUint16(unix.IFF_UP)
		}
		return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
	})
}

// listen serves inside, as listen does here.
func (r *room) listen(t *testing.T, at string, talk func(*container, net.Conn)) *container {
	t.Helper()
	var c *container
	r.in(func() error { c = listen(t, at, talk); return nil })
	return c
}

// namespace is what the agent would be given, until the test ends.
func (r *room) namespace() *healthcheck.Namespace {
	n := healthcheck.NewNamespace(func() (*os.File, error) {
		fd, err := unix.FcntlInt(r.file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		return os.NewFile(uintptr(fd), "namespace"), err
	})
	r.t.Cleanup(func() { _ = n.Close() })
	return n
}

// askVia asks port of addr as the labels say; inside may be nil.
func askVia(t testing.TB, via string, addr netip.Addr, inside *healthcheck.Namespace, more labels) healthcheck.Verdict {
	t.Helper()
	all := labels{"eru.health.via": via}
	maps.Copy(all, more)
	cfg := config()
	cfg.Netns = true
	check, err := healthcheck.NewParser(cfg).Parse(all)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), prompt)
	defer cancel()
	return check.Ask(ctx, healthcheck.Target{Addr: check.At(addr), Inside: inside}, nil)
}

func httpPort(addr netip.AddrPort) labels { return labels{"eru.health.http.port": portOf(addr)} }
func tcpPort(addr netip.AddrPort) labels  { return labels{"eru.health.tcp.ports": portOf(addr)} }

// TestFromInside asks what nobody can reach from here.
func TestFromInside(t *testing.T) {
	for _, at := range []string{"127.0.0.1", "::1"} {
		r := newRoom(t)
		c := r.listen(t, at, saying(ok))
		for name, port := range map[string]labels{"http": httpPort(c.addr), "tcp": tcpPort(c.addr)} {
			t.Run(name+" at "+at, func(t *testing.T) {
				expect(t, askVia(t, "netns", c.addr.Addr(), r.namespace(), port), "", "")
				expect(t, askVia(t, "host", c.addr.Addr(), r.namespace(), port), healthcheck.ReasonRefused, "connecting: connection refused")
				v := askVia(t, "both", c.addr.Addr(), r.namespace(), port)
				expect(t, v, healthcheck.ReasonNetwork, "it passes inside, but from the host: connect_refused: connecting: connection refused")
			})
		}
	}
}

// TestNobodyInside has somebody else at the container's address: it is not asked.
func TestNobodyInside(t *testing.T) {
	r := newRoom(t)
	stranger := listen(t, "127.0.0.1", saying(ok))
	expect(t, askVia(t, "netns", stranger.addr.Addr(), r.namespace(), httpPort(stranger.addr)), healthcheck.ReasonRefused, "connecting: connection refused")
	expect(t, askVia(t, "both", stranger.addr.Addr(), r.namespace(), httpPort(stranger.addr)), healthcheck.ReasonRefused, "inside: connecting: connection refused")
	if n := stranger.accepted.Load(); n > 1 {
		t.Errorf("the stranger was asked %d times, want once at most, by the host's side", n)
	}
}

func TestBothPass(t *testing.T) {
	r := newRoom(t)
	here := listen(t, "127.0.0.1", saying(ok))
	r.in(func() error { // the same port inside
		l, err := net.Listen("tcp", here.addr.String())
		if err != nil {
			return err
		}
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				saying(ok)(&container{}, conn)
				_ = conn.Close()
			}
		}()
		return nil
	})
	expect(t, askVia(t, "both", here.addr.Addr(), r.namespace(), httpPort(here.addr)), "", "")
}

// TestNoWayInside has a namespace that cannot even reach itself: that is no lack
// of the agent's.
func TestNoWayInside(t *testing.T) {
	r := newRoom(t)
	r.loopback(false)
	for _, at := range []string{"::1", "192.0.2.1"} {
		v := askVia(t, "netns", netip.MustParseAddr(at), r.namespace(), labels{"eru.health.tcp.ports": "80"})
		expect(t, v, healthcheck.ReasonUnreachable, "connecting: ")
	}
}

// TestInsideLeavesNothing counts what is left of many probes: sockets inside,
// descriptors here, threads in the wrong place.
func TestInsideLeavesNothing(t *testing.T) {
	r := newRoom(t)
	c := r.listen(t, "127.0.0.1", saying(ok))
	ns := r.namespace()
	expect(t, askVia(t, "netns", c.addr.Addr(), ns, httpPort(c.addr)), "", "")
	before := descriptors(t)
	for range 200 {
		expect(t, askVia(t, "netns", c.addr.Addr(), ns, httpPort(c.addr)), "", "")
		expect(t, askVia(t, "netns", c.addr.Addr(), ns, tcpPort(c.addr)), "", "")
	}
	if after := descriptors(t); after > before+4 { // what the server has not closed yet
		t.Errorf("%d descriptors, %d before", after, before)
	}
	r.in(func() error {
		text, err := os.ReadFile("/proc/thread-self/net/tcp")
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) > 3 && f[3] == stateTimeWait {
				t.Errorf("left inside: %s", line)
			}
		}
		return err
	})
	everyThreadIsHome(t)
}

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func everyThreadIsHome(t *testing.T) {
	t.Helper()
	home, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		is, err := os.Readlink("/proc/self/task/" + thread.Name() + "/ns/net")
		if err == nil && is != home {
			t.Errorf("thread %s is in %s, home is %s", thread.Name(), is, home)
		}
	}
}

// TestBarred is what an agent without the capability says, whatever it lacks.
func TestBarred(t *testing.T) {
	shut := healthcheck.NewNamespace(func() (*os.File, error) {
		return nil, fmt.Errorf("opening it: %w", &fs.PathError{Op: "open", Path: "/proc/1/ns/net", Err: unix.EACCES})
	})
	for _, via := range []string{"netns", "both"} {
		v := askVia(t, via, netip.MustParseAddr("127.0.0.1"), shut, labels{"eru.health.tcp.ports": "1"})
		expect(t, v, healthcheck.ReasonCapability, "connecting: the agent may not enter the container's network namespace (permission denied); it needs CAP_SYS_ADMIN and CAP_SYS_PTRACE: install netns.conf")
	}
}

// TestBarredByPIDNamespace is what an agent says that does not see the container's process: in a PID namespace of its own
// that need not have ended.
func TestBarredByPIDNamespace(t *testing.T) {
	unseen := healthcheck.NewNamespace(func() (*os.File, error) { return nil, fmt.Errorf("opening process 7: %w", unix.ESRCH) })
	v := askVia(t, "netns", netip.MustParseAddr("127.0.0.1"), unseen, labels{"eru.health.tcp.ports": "1"})
	if os.Getpid() == 1 {
		expect(t, v, healthcheck.ReasonCapability, "connecting: the agent does not see the container's process; in a container it needs --pid host, and to enter --user 0:0 --cap-add SYS_ADMIN --cap-add SYS_PTRACE, see docs/operating.md")
		return
	}
	if host, err := os.Readlink("/proc/self/ns/pid"); err != nil || host == "pid:[4026531836]" {
		expect(t, v, healthcheck.ReasonUnreachable, "connecting: opening process 7: no such process")
	}
	again := exec.Command(os.Args[0], "-test.run=^TestBarredByPIDNamespace$")
	again.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID} // it needs root
	if out, err := again.CombinedOutput(); err != nil {
		t.Errorf("in a PID namespace of its own: %v\n%s", err, out)
	}
}

// TestLeft holds that a verdict which comes after the end of its care is void.
func TestLeft(t *testing.T) {
	r := newRoom(t)
	opened, unopened := r.namespace(), r.namespace()
	port := labels{"eru.health.tcp.ports": "1"}
	expect(t, askVia(t, "netns", netip.MustParseAddr("127.0.0.1"), opened, port), healthcheck.ReasonRefused, "connecting: connection refused")
	for _, ns := range []*healthcheck.Namespace{opened, unopened} {
		if err := ns.Close(); err != nil {
			t.Error(err)
		}
		expect(t, askVia(t, "netns", netip.MustParseAddr("127.0.0.1"), ns, port), healthcheck.ReasonAgent, "connecting: ")
	}
	expect(t, askVia(t, "netns", netip.MustParseAddr("127.0.0.1"), nil, port), healthcheck.ReasonAgent, "nobody opened")
}

// TestPlaceInside is where a container without an address is asked.
func TestPlaceInside(t *testing.T) {
	cfg := config()
	cfg.Netns = true
	for _, tt := range []struct {
		labels labels
		addr   string
		want   string
	}{
		{labels{"eru.health.via": "netns"}, "", "127.0.0.1"},
		{labels{"eru.health.via": "netns"}, "10.1.2.3", "10.1.2.3"},
		{labels{"eru.health.via": "netns", "eru.health.network": "back"}, "", "invalid IP"},
		{labels{"eru.health.via": "both"}, "", "invalid IP"},
		{labels{}, "", "invalid IP"},
	} {
		check, err := healthcheck.NewParser(cfg).Parse(tt.labels)
		if err != nil {
			t.Fatal(err)
		}
		addr, _ := netip.ParseAddr(tt.addr)
		if got := check.At(addr).String(); got != tt.want {
			t.Errorf("%v at %q: asked at %s, want %s", tt.labels, tt.addr, got, tt.want)
		}
	}
}

// TestInsideIsNotDescribed holds that nobody elsewhere takes one that is asked
// from inside for dead: how it is asked is not told.
func TestInsideIsNotDescribed(t *testing.T) {
	cfg := config()
	cfg.Netns = true
	addr := netip.MustParseAddr("10.1.2.3")
	for via, want := range map[string]bool{"host": true, "both": true, "netns": false} {
		check, err := healthcheck.NewParser(cfg).Parse(labels{"eru.health.via": via, "eru.health.tcp.ports": "80"})
		if err != nil {
			t.Fatal(err)
		}
		said := check.Describe(addr, func(port uint16) netip.AddrPort { return netip.AddrPortFrom(addr, port) })
		if (said != nil) != want {
			t.Errorf("via %s: described as %q", via, said)
		}
	}
}

// BenchmarkVantage is a probe from each vantage, beside each other in one run.
func BenchmarkVantage(b *testing.B) {
	r := newRoom(b)
	inside := make(chan *net.TCPListener, 1)
	here, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = here.Close() }()
	r.in(func() error {
		l, err := net.ListenTCP("tcp", here.Addr().(*net.TCPAddr))
		inside <- l
		return err
	})
	there := <-inside
	defer func() { _ = there.Close() }()
	for _, l := range []*net.TCPListener{here, there} {
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				go func() { saying(ok)(&container{}, conn); _ = conn.Close() }()
			}
		}()
	}
	at := here.Addr().(*net.TCPAddr).AddrPort()
	for kind, port := range map[string]labels{"http": httpPort(at), "tcp": tcpPort(at)} {
		for _, via := range []string{"host", "netns", "both"} {
			b.Run(kind+"/"+via, func(b *testing.B) {
				ns := r.namespace()
				for b.Loop() {
					if v := askVia(b, via, at.Addr(), ns, port); !v.Pass {
						b.Fatal(v.Detail)
					}
				}
			})
		}
	}
}
