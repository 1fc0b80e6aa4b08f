package monitor

import (
	"context"
	"sync"
)

// pool lets many who ask the same costly question share its answers: one is
// under way at a time, and each gets one that was begun after it asked.
type pool[T any] struct {
	run   func(ctx context.Context, names []string) (T, error)
	begin func(func()) // starts a goroutine that its owner waits for

	mu      sync.Mutex
	running bool
	next    *sharing[T]
}

// sharing is one answer on its way.
type sharing[T any] struct {
	names []string
	done  chan struct{}
	value T
	err   error
}

// join returns the answer to a question that bears name among others.
func (p *pool[T]) join(ctx context.Context, name string) (T, error) {
	p.mu.Lock()
	if p.next == nil {
		p.next = &sharing[T]{done: make(chan struct{})}
	}
	s := p.next
	s.names = append(s.names, name)
	if !p.running {
		p.running = true
		p.begin(func() { p.turns(ctx) })
	}
	p.mu.Unlock()
	select {
	case <-s.done:
		return s.value, s.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// turns answers until nobody waits.
func (p *pool[T]) turns(ctx context.Context) {
	for {
		p.mu.Lock()
		s := p.next
		p.next = nil
		p.running = s != nil
		p.mu.Unlock()
		if s == nil {
			return
		}
		s.value, s.err = p.run(ctx, s.names)
		close(s.done)
	}
}
