package monitor

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/projecteru2/eru-agent/healthcheck"
)

const (
	// askWithin is how long a host may take to answer, if only by refusing.
	askWithin = time.Second
	// fitWithin is how much later than that this host may notice: else it was
	// stopped or starved, and did not ask.
	fitWithin = 250 * time.Millisecond
	// askAtOnce bounds the connections that are tried at once.
	askAtOnce = 512
)

// Wire is the network of this host.
type Wire struct{ slots chan struct{} }

// NewWire returns a Wire.
func NewWire() *Wire { return &Wire{slots: make(chan struct{}, askAtOnce)} }

// Ask implements Network. A connection that is made is reset at once.
func (w *Wire) Ask(ctx context.Context, places []netip.AddrPort) (map[netip.AddrPort]bool, bool) {
	var mu sync.Mutex
	answers, fit := map[netip.AddrPort]bool{}, true
	var all sync.WaitGroup
	for _, place := range places {
		all.Go(func() {
			answered, well := w.ask(ctx, place)
			mu.Lock()
			defer mu.Unlock()
			answers[place] = answers[place] || answered
			fit = fit && well
		})
	}
	all.Wait()
	return answers, fit && ctx.Err() == nil
}

func (w *Wire) ask(ctx context.Context, place netip.AddrPort) (bool, bool) {
	select {
	case w.slots <- struct{}{}:
		defer func() { <-w.slots }()
	case <-ctx.Done():
		return false, false
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	start := time.Now()
	conn, err := healthcheck.Target{Addr: place.Addr()}.Dial(ctx, place.Port())
	if err == nil {
		_ = conn.Close()
		return true, true
	}
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) {
		return true, true
	}
	own := healthcheck.FailFrom("connecting", err).Reason == healthcheck.ReasonAgent
	return false, !own && time.Since(start) < askWithin+fitWithin
}

// Along implements Network: the kernel would send from the same address of this
// host. A container's address that only its node knows is often one of a network
// of this host's own, too.
func (w *Wire) Along(host, place netip.Addr) bool {
	if host == place {
		return true
	}
	from, to := source(host), source(place)
	return from.IsValid() && from == to
}

// source is the address that this host sends from to addr. Connecting a UDP
// socket sends nothing; it only asks for the route.
func source(addr netip.Addr) netip.Addr {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 9)))
	if err != nil {
		return netip.Addr{}
	}
	defer func() { _ = conn.Close() }()
	local, ok := conn.LocalAddr().(*net.UDPAddr)
	if !ok {
		return netip.Addr{}
	}
	return local.AddrPort().Addr().Unmap()
}
