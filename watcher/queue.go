package watcher

import (
	"sync"
	"syscall"
	"time"
)

// word is the newest that was heard of one container. A later event replaces or
// adds to an earlier one, so that the queue is never longer than the number of
// containers, however slow its reader.
type word struct {
	id      string
	labels  map[string]string // of the container, where the event bore them
	started bool              // a life began; what is said of its end came before
	renewed bool              // one began after the last die
	refresh bool              // ask Docker for its details
	network bool              // the same, if it runs
	signals signals           // sent to it
	died    bool
	killed  bool // by a SIGKILL that Docker was asked for, of which nothing was told before
	exit    Exit
	diedAt  time.Time // by Docker's clock
	ended   int       // the process that the kernel says has ended, 0 for none
	oom     bool
	removed bool
	at      time.Time
}

// signals are those, numbered from 1 to 64, that were sent, and when each was last, by Docker's clock.
type signals map[syscall.Signal]time.Time

func (s signals) with(n int, at time.Time) signals {
	if n < 1 || n > 64 {
		return s
	}
	if s == nil {
		s = signals{}
	}
	s[syscall.Signal(n)] = at
	return s
}

// merged are both, for a life of which Docker has still to tell.
func (s signals) merged(more signals) signals {
	for sig, at := range more {
		s = s.with(int(sig), at)
	}
	return s
}

// reach says whether a signal was sent to this life and not to one before it: what Docker tells again, or late, may be
// older. A start in the future is one by a clock that was set back since, and tells nothing.
func (s signals) reach(sig syscall.Signal, c Container) bool {
	at, ok := s[sig]
	return ok && (!at.Before(c.Started) || c.Started.After(time.Now()))
}

// queue hands words from those who must not wait to the one who works.
type queue struct {
	mu    sync.Mutex
	words map[string]*word
	order []string
	ready chan struct{}
}

func newQueue() *queue {
	return &queue{words: map[string]*word{}, ready: make(chan struct{}, 1)}
}

// add applies change to the container's word. It never waits.
func (q *queue) add(id string, change func(*word)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	w, ok := q.words[id]
	if !ok {
		w = &word{id: id, at: time.Now()}
		q.words[id] = w
		q.order = append(q.order, id)
	}
	change(w)
	nudge(q.ready)
}

// take removes the oldest word; ok is false if there is none.
func (q *queue) take() (word, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.order) == 0 {
		return word{}, false
	}
	w := q.words[q.order[0]]
	delete(q.words, w.id)
	q.order = q.order[1:]
	return *w, true
}
