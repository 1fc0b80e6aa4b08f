package healthcheck_test

import (
	"bufio"
	"context"
	"io"
	"maps"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/healthcheck"
)

// container is a real listener that behaves as a test says.
type container struct {
	addr     netip.AddrPort
	accepted atomic.Int64
	request  atomic.Pointer[string] // the last one that was read whole
}

// listen serves each connection by talk, until the test ends; talk may return
// at any time, and the connection is then closed.
func listen(t *testing.T, at string, talk func(c *container, conn net.Conn)) *container {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(at, "0"))
	if err != nil {
		t.Fatal(err)
	}
	c := &container{addr: l.Addr().(*net.TCPAddr).AddrPort()}
	var all sync.WaitGroup
	var open sync.Map
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.accepted.Add(1)
			open.Store(conn, true)
			all.Go(func() {
				defer func() { _ = conn.Close() }()
				talk(c, conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		open.Range(func(conn, _ any) bool { _ = conn.(net.Conn).Close(); return true })
		all.Wait()
	})
	return c
}

// hear reads one request.
func (c *container) hear(conn net.Conn) {
	var text strings.Builder
	r := bufio.NewReader(conn)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		text.WriteString(line)
		if line == "\r\n" {
			request := text.String()
			c.request.Store(&request)
			return
		}
	}
}

// saying answers every request with text and waits for the prober to hang up.
func saying(text string) func(*container, net.Conn) {
	return func(c *container, conn net.Conn) {
		c.hear(conn)
		_, _ = io.WriteString(conn, text)
		_, _ = io.Copy(io.Discard, conn)
	}
}

// sayingAndClosing closes after the answer.
func sayingAndClosing(text string) func(*container, net.Conn) {
	return func(c *container, conn net.Conn) {
		c.hear(conn)
		_, _ = io.WriteString(conn, text)
	}
}

// endless sends start and then more, again and again.
func endless(start, more string) func(*container, net.Conn) {
	return func(c *container, conn net.Conn) {
		c.hear(conn)
		if _, err := io.WriteString(conn, start); err != nil {
			return
		}
		for {
			if _, err := io.WriteString(conn, more); err != nil {
				return
			}
		}
	}
}

// slowly sends one byte of text every 20 ms.
func slowly(text string) func(*container, net.Conn) {
	return func(c *container, conn net.Conn) {
		c.hear(conn)
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		for _, b := range []byte(text) {
			<-ticker.C
			if _, err := conn.Write([]byte{b}); err != nil {
				return
			}
		}
		_, _ = io.Copy(io.Discard, conn)
	}
}

func reset(_ *container, conn net.Conn) { _ = conn.(*net.TCPConn).SetLinger(0) }

func silent(_ *container, conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

// prompt is the timeout for probes that are to be answered, impatient for those
// that are not.
const (
	prompt    = 10 * time.Second
	impatient = 500 * time.Millisecond
)

// ask makes one probe of kind http or tcp at addr, with more labels.
func ask(t *testing.T, kind string, addr netip.AddrPort, timeout time.Duration, more labels) healthcheck.Verdict {
	t.Helper()
	key := map[string]string{"http": "port", "tcp": "ports"}[kind]
	all := labels{"eru.health." + kind + "." + key: portOf(addr)}
	maps.Copy(all, more)
	check, err := healthcheck.NewParser(config()).Parse(all)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	return check.Ask(ctx, healthcheck.Target{Addr: addr.Addr()}, nil)
}

// expect compares what counts in a verdict; detail may be a beginning.
func expect(t *testing.T, v healthcheck.Verdict, reason healthcheck.Reason, detail string) {
	t.Helper()
	if v.Pass != (reason == "") || v.Reason != reason {
		t.Errorf("got pass %t, reason %q, detail %q; want reason %q", v.Pass, v.Reason, v.Detail, reason)
	}
	if !strings.HasPrefix(v.Detail, detail) || (detail == "") != (v.Detail == "") {
		t.Errorf("got detail  %q\nwant detail %q", v.Detail, detail)
	}
	if len(v.Detail) > healthcheck.MaxDetail {
		t.Errorf("detail of %d bytes", len(v.Detail))
	}
}

func portOf(addr netip.AddrPort) string { return strconv.Itoa(int(addr.Port())) }
