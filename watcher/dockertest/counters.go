package dockertest

import (
	"context"
	"fmt"
	"path"
	"sync"
)

// Paths of the API, without its version, as patterns for Requests, Hang, Fail and Slow. They are matched as by path.Match,
// so that "*" is one element; Everything matches every path.
const (
	Ping       = "/_ping"
	Events     = "/events"
	List       = "/containers/json"
	Inspect    = "/containers/*/json"
	Network    = "/networks/*"
	Everything = "**"

	// Subscribing is not a path but the moment between the answer to an events request and the subscription. Hang or Slow
	// on it makes the server answer before it has subscribed, as dockerd does.
	Subscribing = "subscribing"
)

func matches(pattern, p string) bool {
	if pattern == Everything {
		return true
	}
	ok, err := path.Match(pattern, p)
	return ok && err == nil
}

// counters counts requests and wakes those who wait for a count.
type counters struct {
	mu      sync.Mutex
	paths   map[string]int
	refused int
	changed chan struct{}
}

func newCounters() *counters {
	return &counters{paths: map[string]int{}, changed: make(chan struct{})}
}

func (c *counters) add(p string) {
	c.mu.Lock()
	c.paths[p]++
	c.mu.Unlock()
	c.tell()
}

func (c *counters) refuse() {
	c.mu.Lock()
	c.refused++
	c.mu.Unlock()
	c.tell()
}

// tell wakes everyone who awaits.
func (c *counters) tell() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *counters) next() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

func (c *counters) await(ctx context.Context, what string, done func() bool) error {
	for {
		changed := c.next()
		if done() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("awaiting %s: %w", what, ctx.Err())
		}
	}
}

// Requests is the number of GET and HEAD requests so far whose path, without version, matches the pattern; those that
// were then failed or left hanging count too.
func (s *Server) Requests(pattern string) int {
	s.requests.mu.Lock()
	defer s.requests.mu.Unlock()
	n := 0
	for p, count := range s.requests.paths {
		if matches(pattern, p) {
			n += count
		}
	}
	return n
}

// Refused is the number of requests so far that were neither GET nor HEAD.
func (s *Server) Refused() int {
	s.requests.mu.Lock()
	defer s.requests.mu.Unlock()
	return s.requests.refused
}

// Streams is the number of event streams that are subscribed now.
func (s *Server) Streams() int { return s.hub.streams() }

// Lost is the number of events so far that a subscriber lost because its queue stayed full.
func (s *Server) Lost() int { return s.hub.lostEvents() }

// AwaitRequests waits until Requests(pattern) is at least n. It fails with the context's error.
func (s *Server) AwaitRequests(ctx context.Context, pattern string, n int) error {
	return s.requests.await(ctx, fmt.Sprintf("%d requests of %q", n, pattern), func() bool { return s.Requests(pattern) >= n })
}

// AwaitStreams waits until exactly n event streams are subscribed. It fails with the context's error.
func (s *Server) AwaitStreams(ctx context.Context, n int) error {
	return s.requests.await(ctx, fmt.Sprintf("%d event streams", n), func() bool { return s.Streams() == n })
}
