// Package load is a client that shows what users of a proxy would have seen. It
// is open: requests begin at their times, however slow the answers to others are,
// and each is counted from the time at which it was due, so that a proxy that
// stands still for a second is seen to have kept hundreds waiting, not one.
package load

import (
	"context"
	"sync"
	"time"
)

// Patience bounds each request.
const Patience = 10 * time.Second

// Answer is what became of a request.
type Answer struct {
	By     string // who served it, as the server says
	Again  int    // how often it was sent anew by the client itself
	Failed error
}

// Request is one that has ended.
type Request struct {
	Due, Sent, Ended time.Time
	Answer
}

// Latency is what the user waited.
func (r Request) Latency() time.Duration { return r.Ended.Sub(r.Due) }

// Load is under way until Stop.
type Load struct {
	ask   func(context.Context) Answer
	every time.Duration

	stopping context.CancelFunc
	underWay sync.WaitGroup

	mu      sync.Mutex
	ended   Requests
	changed chan struct{} // closed at the next end
}

// Start sends rate requests a second; ask makes one. The end of ctx fails those
// that are under way.
func Start(ctx context.Context, rate int, ask func(context.Context) Answer) *Load {
	l := &Load{ask: ask, every: time.Second / time.Duration(rate), changed: make(chan struct{})}
	running, cancel := context.WithCancel(ctx)
	l.stopping = cancel
	l.underWay.Go(func() { l.run(ctx, running) })
	return l
}

// Stop sends nothing more, waits for the answers that are to come, and returns
// all.
func (l *Load) Stop() Requests {
	l.stopping()
	l.underWay.Wait()
	return l.Ended()
}

// Ended are those that have ended so far, in the order of their ends.
func (l *Load) Ended() Requests {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended[:len(l.ended):len(l.ended)]
}

// Await returns the first, after those n that ended first, that ok says yes to.
func (l *Load) Await(ctx context.Context, n int, ok func(Request) bool) (Request, error) {
	for {
		l.mu.Lock()
		fresh, changed := l.ended[n:len(l.ended):len(l.ended)], l.changed
		l.mu.Unlock()
		for _, r := range fresh {
			if ok(r) {
				return r, nil
			}
		}
		n += len(fresh)
		select {
		case <-changed:
		case <-ctx.Done():
			return Request{}, ctx.Err()
		}
	}
}

// run keeps to the schedule; if it is late, it makes good what was due.
func (l *Load) run(ctx, running context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for due := time.Now(); ; due = due.Add(l.every) {
		timer.Reset(time.Until(due))
		select {
		case <-running.Done():
			return
		case <-timer.C:
			l.underWay.Go(func() { l.send(ctx, due) })
		}
	}
}

func (l *Load) send(ctx context.Context, due time.Time) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	r := Request{Due: due, Sent: time.Now()}
	r.Answer = l.ask(ctx)
	r.Ended = time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = append(l.ended, r)
	close(l.changed)
	l.changed = make(chan struct{})
}
