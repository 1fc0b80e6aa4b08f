package page

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// MaxListeners is how many may follow one agent's page at once.
const MaxListeners = 16

// How often there is news at most, how long a client may take to read it, and after
// which silence a word is sent that says nothing, so that a client that has gone is
// seen.
const (
	newsEvery    = time.Second
	readWithin   = 5 * time.Second
	silentAtMost = 15 * time.Second
)

// events sends what changes on the page until the client or the agent ends. Each
// client is told what differs from what it was told last, so nothing is kept for
// one that is slow; one that does not read is dropped.
func (p *Page) events(stopping context.Context, w http.ResponseWriter, r *http.Request) {
	select {
	case p.listeners <- struct{}{}:
		defer func() { <-p.listeners }()
	default:
		refuse(w, fmt.Sprintf("%d follow this page already, and no more may: close one, or ask /status", MaxListeners))
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // nginx is to pass on each event at once
	if r.Method == http.MethodHead {
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(stopping, cancel)()
	if http.NewResponseController(w).SetReadDeadline(time.Time{}) == nil { // else the server takes a client that is silent for gone
		p.follow(ctx, w)
	}
}

func (p *Page) follow(ctx context.Context, w http.ResponseWriter) {
	tick := time.NewTicker(newsEvery)
	defer tick.Stop()
	said, had := time.Now(), &scene{}
	for {
		now := p.scene(ctx, had)
		if ctx.Err() != nil {
			return
		}
		if n := now.since(had); n != nil || time.Since(said) >= silentAtMost {
			if send(w, n) != nil {
				return // gone, or too slow
			}
			said = time.Now()
		}
		had = now
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// send writes n as an event, or what is no event if there is none.
func send(w http.ResponseWriter, n *news) error {
	control := http.NewResponseController(w)
	if err := control.SetWriteDeadline(time.Now().Add(readWithin)); err != nil {
		return err
	}
	line := ":\n\n"
	if n != nil {
		text, err := json.Marshal(n)
		if err != nil {
			return err
		}
		line = "data: " + string(text) + "\n\n"
	}
	if _, err := io.WriteString(w, line); err != nil {
		return err
	}
	return control.Flush()
}

// scene is the node as it is, or what there was before and why it cannot be asked.
func (p *Page) scene(ctx context.Context, had *scene) *scene {
	v, err := p.look(ctx)
	if err == nil {
		var s *scene
		if s, err = v.live(); err == nil {
			return s
		}
	}
	lost := *had
	lost.fault = "The agent does not answer, and what stands here may be old: " + err.Error()
	return &lost
}
