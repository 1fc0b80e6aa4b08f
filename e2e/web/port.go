package main

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/projecteru2/eru-agent/e2e/rogue"
)

// port is one port that is served.
type port struct {
	bind string // address that it listens on
	name string
	host string
	tls  *tls.Config
	gate *gate
	exit chan<- int

	serving sync.WaitGroup // the listener and the connections

	mu        sync.Mutex
	mode      mode
	started   bool
	finishing bool
	listener  *net.TCPListener
	clog      *clog
	count     int
	open      map[net.Conn]bool // whether it is between two requests
}

func newPort(name string, cfg config, g *gate, exit chan<- int) *port {
	first := cfg.mode
	if first.ofProcess() {
		first = mode{name: "ok"}
	}
	return &port{name: name, bind: cfg.bind, host: cfg.host, tls: cfg.tls, gate: g, exit: exit, mode: first, open: map[net.Conn]bool{}}
}

func (p *port) behaviour() mode {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mode
}

func (p *port) accepted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

func (p *port) opened() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.open)
}

func (p *port) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.started = true
	return p.applyLocked()
}

func (p *port) behave(m mode) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode = m
	return p.applyLocked()
}

// applyLocked opens or closes the listener as the mode wants it.
func (p *port) applyLocked() error {
	p.clog.close()
	p.clog = nil
	if !p.started || p.mode.name == "refuse" || p.mode.name == "clog" {
		if p.listener != nil {
			_ = p.listener.Close()
			p.listener = nil
		}
		if !p.started || p.mode.name == "refuse" {
			return nil
		}
		var err error
		p.clog, err = newClog(p.name)
		return err
	}
	if p.listener != nil {
		return nil
	}
	l, err := net.Listen("tcp", net.JoinHostPort(p.bind, p.name))
	if err != nil {
		return fmt.Errorf("listening on port %q: %w", p.name, err)
	}
	listener := l.(*net.TCPListener)
	p.listener = listener
	p.serving.Go(func() { p.accept(listener) })
	return nil
}

// interrupt ends a pending accept, so that none is pending while the gate is shut.
func (p *port) interrupt() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		_ = p.listener.SetDeadline(time.Unix(1, 0))
	}
}

func (p *port) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.started = false
	_ = p.applyLocked()
	for conn := range p.open {
		_ = conn.Close()
	}
}

func (p *port) accept(l *net.TCPListener) {
	for {
		p.gate.wait()
		conn, err := l.Accept()
		switch {
		case err == nil:
			p.serving.Go(func() { p.serve(conn.(*net.TCPConn)) })
		case errors.Is(err, os.ErrDeadlineExceeded):
			p.gate.wait()
			_ = l.SetDeadline(time.Time{})
		case errors.Is(err, net.ErrClosed):
			return
		default:
			time.Sleep(10 * time.Millisecond) // Out of descriptors, perhaps: let some close.
		}
	}
}

// serve answers the requests of one connection until one side has had enough.
func (p *port) serve(conn *net.TCPConn) {
	p.enter(conn)
	defer p.leave(conn)
	p.gate.wait()
	if rogue.Greet(conn, p.behaviour().name) {
		return
	}
	var stream net.Conn = conn
	if p.tls != nil {
		stream = tls.Server(conn, p.tls)
	}
	in := bufio.NewReader(stream)
	for {
		_, _ = in.Peek(1) // what ends it is told again
		p.begin(conn)
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		p.gate.wait()
		a := &answer{in: in, out: stream, r: r, host: p.host, last: p.last, exit: p.exit}
		if !a.give(p.behaviour()) || r.Close || !p.idle(conn) {
			return
		}
	}
}

// finish closes the listener and the connections on which nothing is under way. One that is new has its request before
// it, and is served.
func (p *port) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.started, p.finishing = false, true
	_ = p.applyLocked()
	for conn, idle := range p.open {
		if idle {
			_ = conn.Close()
		}
	}
}

func (p *port) last() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.finishing
}

// idle says that a request has been answered. It reports whether another may come.
func (p *port) idle(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open[conn] = true
	return !p.finishing
}

// begin says that a request has begun.
func (p *port) begin(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open[conn] = false
}

func (p *port) enter(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count++
	p.open[conn] = false
}

func (p *port) leave(conn net.Conn) {
	_ = conn.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, conn)
}
