package canary

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"
)

// Anyone on this machine may connect: to so many at once, each for so long.
const (
	maxConns = 16
	within   = time.Second
	maxHead  = 4 << 10 // of a request, in bytes
)

// Listener is the target: it answers 200 on the loopback interface while it
// shows healthy, as it does at first, and 503 while it does not.
type Listener struct {
	l    net.Listener
	sick atomic.Bool
}

// Listen binds a port of the kernel's choice. Serve closes it.
func Listen() (*Listener, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for the canary's target: %w", err)
	}
	return &Listener{l: l}, nil
}

// Addr is where it listens.
func (l *Listener) Addr() netip.AddrPort { return l.l.Addr().(*net.TCPAddr).AddrPort() }

// Show says what it answers from now on.
func (l *Listener) Show(healthy bool) { l.sick.Store(!healthy) }

// Serve answers until ctx ends, then returns nil.
func (l *Listener) Serve(ctx context.Context) error {
	server := &http.Server{Handler: l, ReadTimeout: within, WriteTimeout: within, MaxHeaderBytes: maxHead,
		ErrorLog: log.New(io.Discard, "", 0)} // of what strangers send
	server.SetKeepAlivesEnabled(false)
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	err := server.Serve(netutil.LimitListener(l.l, maxConns))
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("serving the canary's target on %q: %w", l.Addr(), err)
}

// ServeHTTP answers, whatever is asked.
func (l *Listener) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	if l.sick.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}
