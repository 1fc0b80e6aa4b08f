package dockertest

import (
	"context"
	"sync"
	"time"
)

// faults are what goes wrong with requests, by pattern of their path.
type faults struct {
	mu     sync.Mutex
	hangs  map[string]chan struct{}
	fails  map[string]int
	delays map[string]time.Duration
}

func newFaults() *faults {
	return &faults{hangs: map[string]chan struct{}{}, fails: map[string]int{}, delays: map[string]time.Duration{}}
}

// Hang makes requests that match the pattern wait, unanswered, until Unhang. Hang(Events) also stalls the streams that are
// open: they stay open and deliver nothing.
func (s *Server) Hang(pattern string) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	if s.faults.hangs[pattern] == nil {
		s.faults.hangs[pattern] = make(chan struct{})
	}
}

// Unhang ends Hang of the same pattern; requests that still wait are answered now.
func (s *Server) Unhang(pattern string) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	if released := s.faults.hangs[pattern]; released != nil {
		close(released)
		delete(s.faults.hangs, pattern)
	}
}

// Fail answers requests that match the pattern with the HTTP status, from now on; status 0 ends it. Event streams that are
// open stay open.
func (s *Server) Fail(pattern string, status int) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.fails[pattern] = status
}

// Slow makes requests that match the pattern wait for d before they are answered; 0 ends it. Slow(Events) also delays
// every delivery on streams that are open.
func (s *Server) Slow(pattern string, d time.Duration) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.delays[pattern] = d
}

func (f *faults) status(path string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	status := 0
	for pattern, failing := range f.fails {
		if matches(pattern, path) {
			status = max(status, failing)
		}
	}
	return status
}

// current is the hang, nil for none, and the delay that apply to a path.
func (f *faults) current(path string) (<-chan struct{}, time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var delay time.Duration
	for pattern, d := range f.delays {
		if matches(pattern, path) {
			delay = max(delay, d)
		}
	}
	for pattern, released := range f.hangs {
		if matches(pattern, path) {
			return released, delay
		}
	}
	return nil, delay
}

// hold waits as long as the faults of a path demand. It fails with the context's error.
func (f *faults) hold(ctx context.Context, path string) error {
	for {
		released, delay := f.current(path)
		if released == nil {
			return wait(ctx, delay)
		}
		select {
		case <-released: // Another pattern may still hang.
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
