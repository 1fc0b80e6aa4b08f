// Package porttest has a listener in memory, so that tests can fake the time
// around a port.
package porttest

import (
	"net"
	"sync"
)

// Listener is a listener that only Dial leads to.
type Listener struct {
	conns chan net.Conn
	done  chan struct{}
	close func()
}

// Listen returns a listener.
func Listen() *Listener {
	l := &Listener{conns: make(chan net.Conn), done: make(chan struct{})}
	l.close = sync.OnceFunc(func() { close(l.done) })
	return l
}

// Dial waits until a connection is accepted and returns its other end, which holds
// nothing back: what is written has been read.
func (l *Listener) Dial() net.Conn {
	client, server := net.Pipe()
	l.conns <- server
	return client
}

// Accept waits for the next connection.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept. It may be called again.
func (l *Listener) Close() error { l.close(); return nil }

// Addr is no address at all.
func (l *Listener) Addr() net.Addr { return &net.TCPAddr{} }
