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
	refresh bool              // ask Docker for its details
	network bool              // the same, if it runs
	signals signals           // sent to it
	died    bool
	exit    Exit
	diedAt  time.Time // by Docker's clock
	ended   int       // the process that the kernel says has ended, 0 for none
	oom     bool
	removed bool
	at      time.Time
}

// signals is a set of signals, which are numbered from 1 to 64.
type signals uint64

func (s signals) with(n int) signals {
	if n < 1 || n > 64 {
		return s
	}
	return s | 1<<(n-1)
}

func (s signals) has(sig syscall.Signal) bool { return s&signals(0).with(int(sig)) != 0 }

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
