package watcher

import (
	"context"
	"sync"
	"time"
)

// keeper owns what is known of each container. One goroutine runs it; nothing
// else touches its maps.
type keeper struct {
	*Watcher
	known   map[string]*record
	answers chan answer
	flights sync.WaitGroup

	applied    int               // listings so far
	awaited    map[string]string // names of those of the first listing whose details are still to come
	synced     bool
	suspect    bool // what the last listing finds, the stream has kept back
	saidNoWord bool
}

// record is what is known of one container of ours.
type record struct {
	c      Container
	phase  phase // as told
	exit   Exit
	oom    bool
	target string
	asking bool
	again  bool      // something happened while Docker was asked
	relist bool      // asked because of a listing, and of nothing else
	listed bool      // told to be present
	sent   signals   // to a life of which Docker has still to tell
	warned time.Time // start of the life that was last told to be stopping
	died   time.Time // last die, by Docker's clock
	heard  time.Time // when it was heard of

	missed  bool // Docker knows it no more, while its process lives
	doubted life // that was last doubted, and how often
	doubts  int
}

// answer is what Docker said about a container.
type answer struct {
	id      string
	details details
	refused error // it seems not to tell; another answer may come
}

func newKeeper(w *Watcher) *keeper {
	return &keeper{Watcher: w, known: map[string]*record{}, answers: make(chan answer), awaited: map[string]string{}}
}

func (k *keeper) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer k.flights.Wait()
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.queue.ready:
			for w, ok := k.queue.take(); ok && ctx.Err() == nil; w, ok = k.queue.take() {
				k.word(ctx, w)
			}
		case a := <-k.answers:
			k.learn(ctx, a)
		case all := <-k.Watcher.listings:
			k.compare(ctx, all)
		}
	}
}

// tell hands one event out.
func (k *keeper) tell(ctx context.Context, e Event) {
	if e.At.IsZero() {
		e.At = time.Now()
	}
	select {
	case k.events <- e:
	case <-ctx.Done():
	}
}

// word acts on the newest that was heard of a container.
func (k *keeper) word(ctx context.Context, w word) {
	if w.refresh || w.died || w.network {
		defer k.refreshSharers(ctx, w.id) // later than what has to be known soon
	}
	r, ok := k.known[w.id]
	if !ok {
		if !w.refresh && !w.died && len(w.signals) == 0 || !k.maybe(w.labels) {
			return
		}
		r = &record{}
		k.known[w.id] = r
	}
	r.oom = r.oom || w.oom
	k.signalled(ctx, r, w)
	gone := w.ended != 0 && w.ended == r.c.Pid && k.deaths.fate(w.id, w.ended) == fateEnded
	if gone {
		k.exited(ctx, w.id, r, Exit{OOM: r.oom}, w.at)
	}
	about := none
	if w.died {
		about = k.died(ctx, w, r)
	}
	if w.renewed {
		r.died = time.Time{} // what runs now is another life, also where the clock was set back between the two
	}
	switch {
	case w.removed:
		k.removed(ctx, w.id, r)
	case w.refresh, about == urgent, !ok, gone && r.missed, w.network && (r.phase == phaseRunning || r.asking):
		k.ask(ctx, w.id, r, false)
	case about == minor:
		k.askAfter(ctx, w.id, r, false, minorWait)
	}
}
