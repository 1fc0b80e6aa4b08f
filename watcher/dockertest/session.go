package dockertest

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
)

// session is one life of the listener: it ends with Down and another begins with Up.
type session struct {
	http        *http.Server
	cancel      context.CancelFunc
	connections sync.WaitGroup
	served      chan struct{}
}

func newSession(h http.Handler) *session {
	ctx, cancel := context.WithCancel(context.Background())
	run := &session{cancel: cancel, served: make(chan struct{})}
	run.http = &http.Server{
		Handler:     h,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ConnState:   run.track,
		ErrorLog:    log.New(io.Discard, "", 0),
	}
	return run
}

func (r *session) serve(l net.Listener) {
	defer close(r.served)
	_ = r.http.Serve(l) // Always ErrServerClosed: only end() ends it.
}

func (r *session) track(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		r.connections.Add(1)
	case http.StateClosed, http.StateHijacked:
		r.connections.Done()
	}
}

// end closes the listener and all connections and waits for their goroutines.
func (r *session) end() {
	r.cancel()
	_ = r.http.Close()
	<-r.served
	r.connections.Wait()
}
