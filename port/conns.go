package port

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// maxConns is how many connections the port has open at once, and ownWithin for how
// long each may keep its place however many others want it: long enough for whoever
// means to ask. Who comes meanwhile waits with the kernel.
const (
	maxConns  = 256
	ownWithin = 500 * time.Millisecond
)

// crowd are the connections of one port. One that comes when there is no
// place left takes that of the one that has the least claim to it, so that any
// number of clients that send slowly, or nothing, cannot keep others out, and
// cost no more memory than there are places.
type crowd struct {
	net.Listener
	log    *zap.Logger
	cut    prometheus.Counter
	left   chan struct{} // told when a place is free
	closed chan struct{}
	close  func() error

	mu    sync.Mutex
	open  map[*guest]struct{}
	named time.Time // when the log last told of connections that were cut
}

func newCrowd(l net.Listener, cut prometheus.Counter, log *zap.Logger) *crowd {
	c := &crowd{Listener: l, log: log, cut: cut, left: make(chan struct{}, 1), closed: make(chan struct{}), open: map[*guest]struct{}{}}
	c.close = sync.OnceValue(func() error { close(c.closed); return l.Close() })
	return c
}

// guest is one connection.
type guest struct {
	net.Conn
	crowd *crowd

	// Guarded by crowd.mu.
	moved time.Time // when it came, asked, or was last written to
	claim claim
	late  bool // it did not read in time
}

// claim is what a guest has to say for its place.
type claim int

const (
	answered claim = iota // and asks nothing more
	newcomer              // has asked nothing yet
	asking                // and an answer is due, or not yet sent
)

// Accept waits for the next connection, and for a place for it.
func (c *crowd) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	g := &guest{Conn: conn, crowd: c}
	for {
		last, wait := c.enter(g)
		if wait <= 0 {
			if last != nil {
				_ = last.Close()
			}
			return g, nil
		}
		select {
		case <-time.After(wait):
		case <-c.left:
		case <-c.closed:
			_ = conn.Close()
			return nil, net.ErrClosed
		}
	}
}

// Close ends Accept. It may be called again.
func (c *crowd) Close() error { return c.close() }

// enter lets g in and returns who has to go for it, if anybody, or how long g has
// to wait before it may ask again.
func (c *crowd) enter(g *guest) (*guest, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var last *guest
	if len(c.open) >= maxConns {
		for other := range c.open {
			if last == nil || other.idlerLocked(last) {
				last = other
			}
		}
		if wait := ownWithin - time.Since(last.moved); wait > 0 && last.claim != answered {
			return nil, wait
		}
		delete(c.open, last)
		c.tellLocked(last)
	}
	g.moved, g.claim = time.Now(), newcomer
	c.open[g] = struct{}{}
	return last, 0
}

// tellLocked counts one who has to go, and names one a minute.
func (c *crowd) tellLocked(g *guest) {
	c.cut.Inc()
	if time.Since(c.named) >= time.Minute {
		c.named = time.Now()
		c.log.Warn("connections to the HTTP port are closed, because too many are open and get nothing done",
			zap.Int("open", maxConns), zap.Stringer("one_from", g.RemoteAddr()))
	}
}

// idlerLocked says whether g has less of a claim to its place than other; of two
// with the same, who has got nothing done for longer.
func (g *guest) idlerLocked(other *guest) bool {
	if g.claim != other.claim {
		return g.claim < other.claim
	}
	return g.moved.Before(other.moved)
}

// Close gives the place back.
func (g *guest) Close() error {
	g.crowd.mu.Lock()
	delete(g.crowd.open, g)
	g.crowd.mu.Unlock()
	select {
	case g.crowd.left <- struct{}{}:
	default:
	}
	return g.Conn.Close()
}

// Write is progress. What a client sends is none before it is a request. Whoever
// does not read in time is counted; the server closes the connection.
func (g *guest) Write(b []byte) (int, error) {
	n, err := g.Conn.Write(b)
	late := errors.Is(err, os.ErrDeadlineExceeded)
	g.crowd.mu.Lock()
	defer g.crowd.mu.Unlock()
	if n > 0 {
		g.moved = time.Now()
	}
	if late && !g.late {
		g.late = true
		g.crowd.cut.Inc()
	}
	return n, err
}

// becomes notes a new claim.
func (g *guest) becomes(c claim) {
	g.crowd.mu.Lock()
	defer g.crowd.mu.Unlock()
	g.moved, g.claim = time.Now(), c
}

// guestOf finds the guest behind a connection.
func guestOf(conn net.Conn) (*guest, bool) {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	g, ok := conn.(*guest)
	return g, ok
}

// dismiss notes that an answer has been sent: a ConnState.
func dismiss(conn net.Conn, state http.ConnState) {
	if g, ok := guestOf(conn); ok && state == http.StateIdle {
		g.becomes(answered)
	}
}

type guestKey struct{}

// introduce lets requests find the guest that they are from: a ConnContext.
func introduce(ctx context.Context, conn net.Conn) context.Context {
	g, _ := guestOf(conn)
	return context.WithValue(ctx, guestKey{}, g)
}

// attend notes that a request is under way.
func attend(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g, _ := r.Context().Value(guestKey{}).(*guest); g != nil {
			g.becomes(asking)
		}
		next.ServeHTTP(w, r)
	})
}
