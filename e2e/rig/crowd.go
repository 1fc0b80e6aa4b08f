package rig

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/e2e/rogue"
	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

// Crowd is any number of containers of a fake Docker. Each has a loopback address of its own, and this process answers at
// all of them: real ones would cost more than what is tested.
type Crowd struct {
	*dockertest.Server

	port      string
	probed    atomic.Int64
	wg        sync.WaitGroup
	mu        sync.Mutex
	tls       *tls.Config
	modes     map[string]string    // by address
	pulses    map[string]pulse     // by address
	tardy     map[string]time.Time // by address, when a request had waited last
	listeners []net.Listener
	waiting   map[net.Conn]struct{}
	ended     bool
}

// NewCrowd starts a fake Docker without containers; it ends with the test.
func NewCrowd(t testing.TB, cfg dockertest.Config) *Crowd {
	t.Helper()
	l, err := net.Listen("tcp", "0.0.0.0:0") //nolint:gosec // every container's address is one of loopback's
	if err != nil {
		t.Fatal(err)
	}
	return NewCrowdAt(t, cfg, l)
}

// NewCrowdAt is NewCrowd with containers that answer where l listens, on another host, say.
func NewCrowdAt(t testing.TB, cfg dockertest.Config, l net.Listener) *Crowd {
	t.Helper()
	secure, err := rogue.SelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	c := &Crowd{Server: dockertest.New(t, cfg), tls: secure, modes: map[string]string{}, pulses: map[string]pulse{}, tardy: map[string]time.Time{}, waiting: map[net.Conn]struct{}{}}
	_, c.port, _ = net.SplitHostPort(l.Addr().String())
	c.Answer(l)
	t.Cleanup(c.Quit)
	return c
}

// Answer begins to answer where l listens too, also after Quit.
func (c *Crowd) Answer(l net.Listener) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listeners, c.ended = append(c.listeners, l), false
	c.wg.Go(func() { c.accept(l) })
}

// Quit closes every port and connection, as processes do that are gone. To Docker the containers still run.
func (c *Crowd) Quit() {
	c.mu.Lock()
	c.ended = true
	for _, l := range c.listeners {
		_ = l.Close()
	}
	c.listeners = nil
	for conn := range c.waiting {
		_ = conn.Close()
	}
	c.mu.Unlock()
	c.wg.Wait()
}

// Labels are those of a container of app that is probed over HTTP where the crowd answers.
func (c *Crowd) Labels(app string) map[string]string {
	return map[string]string{"eru.app": app, "eru.entrypoint": "web", "eru.health.http.port": c.port}
}

// Join runs a container of app, which answers as its address was told to last, with 200 if never.
func (c *Crowd) Join(app string) dockertest.Container {
	return c.Run(dockertest.Spec{Labels: c.Labels(app)})
}

// Behave says how the container that has an address answers from now on: "ok" (also ""), a status code such as "500", or in
// a mode of package rogue, such as "silent" or "reset".
func (c *Crowd) Behave(address, mode string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.modes[address] = mode
}

// Probed is how many requests were answered so far.
func (c *Crowd) Probed() int64 { return c.probed.Load() }

func (c *Crowd) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return // closed
		}
		c.keepTime(conn)
		if c.keep(conn) {
			c.wg.Go(func() { c.serve(conn) })
		}
	}
}

func (c *Crowd) serve(conn net.Conn) {
	defer c.leave(conn)
	_ = conn.(*net.TCPConn).SetWriteBuffer(64 << 10) // what is endless shall not fill the kernel
	mode := c.mode(conn)
	if rogue.Greet(conn.(*net.TCPConn), mode) {
		return
	}
	in, out := c.unwrap(conn)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			if errors.Is(err, syscall.ECONNRESET) { // the request came, and was taken back
				c.keepTime(conn)
			}
			return
		}
		if strings.TrimSpace(line) == "" {
			break
		}
	}
	c.keepTime(conn)
	if rogue.Answer(in, out, mode) {
		return
	}
	if mode == "" || mode == "ok" {
		mode = "200"
	}
	c.probed.Add(1)
	c.beat(conn)
	_, _ = fmt.Fprintf(out, "HTTP/1.1 %s crowd\r\nContent-Length: 6\r\n\r\ncrowd\n", mode)
}

// unwrap speaks TLS with whoever does.
func (c *Crowd) unwrap(conn net.Conn) (*bufio.Reader, io.Writer) {
	in := bufio.NewReaderSize(conn, 512)
	if first, err := in.Peek(1); err != nil || first[0] != 0x16 { // RFC 8446, 5.1: a handshake record
		return in, conn
	}
	secure := tls.Server(&peeked{conn, in}, c.tls)
	return bufio.NewReaderSize(secure, 512), secure
}

// peeked is a connection of which something was read already.
type peeked struct {
	net.Conn
	in io.Reader
}

func (p *peeked) Read(b []byte) (int, error) { return p.in.Read(b) }

func (c *Crowd) mode(conn net.Conn) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.modes[host(conn)]
}

// host is the address of the container that a connection leads to.
func host(conn net.Conn) string {
	host, _, _ := net.SplitHostPort(conn.LocalAddr().String())
	return host
}

func (c *Crowd) keep(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		_ = conn.Close()
		return false
	}
	c.waiting[conn] = struct{}{}
	return true
}

func (c *Crowd) leave(conn net.Conn) {
	_ = conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, conn)
}
