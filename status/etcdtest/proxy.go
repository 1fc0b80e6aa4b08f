package etcdtest

import (
	"net"
	"slices"
	"sync"
	"testing"
	"time"
)

// mode is what a Proxy does with bytes.
type mode int

const (
	forward mode = iota
	hold         // connections stay and nothing passes
	slow         // requests pass late, one after the other
	mute         // requests pass, answers do not
	cut          // there are no connections
)

// Proxy stands in front of a server, and breaks the way to it. What is held
// back is passed on later, in order.
type Proxy struct {
	listener net.Listener
	target   string
	wg       sync.WaitGroup

	mu    sync.Mutex
	turn  *sync.Cond // the mode has changed
	mode  mode
	late  time.Duration // by which requests pass when slow
	ended bool
	conns map[net.Conn]struct{}
}

// NewProxy starts a proxy in front of target, a host and port. It dials through
// to wherever the target is at that moment, so the target may restart.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{listener: l, target: target, conns: map[net.Conn]struct{}{}}
	p.turn = sync.NewCond(&p.mu)
	p.wg.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// Address returns the host and port that clients dial.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// Hold accepts connections and passes nothing, as a network does that is gone.
func (p *Proxy) Hold() { p.set(hold) }

// Slow passes each request d later, so that one may arrive when it has been given
// up for long.
func (p *Proxy) Slow(d time.Duration) {
	p.mu.Lock()
	p.late = d
	p.mu.Unlock()
	p.set(slow)
}

// Mute passes requests and keeps the answers back, so that what is written
// lands and nobody hears of it.
func (p *Proxy) Mute() { p.set(mute) }

// Cut ends every connection, with what was held back, and each new one at once.
func (p *Proxy) Cut() { p.set(cut) }

// Resume passes everything again, what was held back first.
func (p *Proxy) Resume() { p.set(forward) }

func (p *Proxy) set(m mode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode = m
	if m == cut {
		p.hangUpLocked()
	}
	p.turn.Broadcast()
}

func (p *Proxy) hangUpLocked() {
	for c := range p.conns {
		_ = c.Close()
	}
	clear(p.conns)
}

func (p *Proxy) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	p.ended = true
	p.hangUpLocked()
	p.turn.Broadcast()
	p.mu.Unlock()
	p.wg.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		if !p.keep(client, server) {
			continue
		}
		p.wg.Go(func() { p.pass(server, client, hold) })
		p.wg.Go(func() { p.pass(client, server, hold, mute) })
	}
}

func (p *Proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		if p.mode == cut || p.ended {
			_ = c.Close()
			continue
		}
		p.conns[c] = struct{}{}
	}
	return p.mode != cut && !p.ended
}

// pass copies from one side to the other, and waits while the mode is one of
// stops.
func (p *Proxy) pass(to, from net.Conn, stops ...mode) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && !slices.Contains(stops, mute) {
			<-time.After(p.lateness())
		}
		if n > 0 && p.clear(from, stops) {
			_, err = to.Write(buf[:n])
		}
		if err != nil {
			p.mu.Lock()
			delete(p.conns, from)
			p.mu.Unlock()
			return
		}
	}
}

// lateness is how much later requests pass now.
func (p *Proxy) lateness() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mode != slow {
		return 0
	}
	return p.late
}

// clear waits until the way is clear, and says whether the connection is still
// there.
func (p *Proxy) clear(c net.Conn, stops []mode) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if _, there := p.conns[c]; !there || p.ended {
			return false
		}
		stopped := false
		for _, m := range stops {
			stopped = stopped || p.mode == m
		}
		if !stopped {
			return true
		}
		p.turn.Wait()
	}
}
