package watcher

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"
)

// keeper owns what is known of each container. One goroutine runs it; nothing
// else touches its maps.
type keeper struct {
	*Watcher
	known   map[string]*record
	answers chan answer
	flights sync.WaitGroup

	applied    int             // listings so far
	awaited    map[string]bool // details of the first listing that are still to come
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
	sent   signals   // to a life of which Docker has still to tell
	warned time.Time // start of the life that was last told to be stopping
	died   time.Time // last die, by Docker's clock
	heard  time.Time // when it was heard of
}

// answer is what Docker said about a container, in the end.
type answer struct {
	id      string
	details details
	ok      bool // false when the agent stops
}

func newKeeper(w *Watcher) *keeper {
	return &keeper{Watcher: w, known: map[string]*record{}, answers: make(chan answer), awaited: map[string]bool{}}
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
		k.refreshSharers(ctx, w.id)
	}
	r, ok := k.known[w.id]
	if !ok {
		if !w.refresh && !w.died || !k.maybe(w.labels) {
			return
		}
		r = &record{}
		k.known[w.id] = r
	}
	r.oom = r.oom || w.oom
	k.signalled(ctx, r, w)
	if w.ended != 0 && w.ended == r.c.Pid && k.deaths.fate(w.id, w.ended) == fateEnded {
		k.exited(ctx, w.id, r, Exit{OOM: r.oom}, w.at)
	}
	doubt := w.died && !k.died(ctx, w, r)
	switch {
	case w.removed:
		k.removed(ctx, w.id, r)
	case w.refresh, doubt, w.network && (r.phase == phaseRunning || r.asking):
		k.ask(ctx, w.id, r, false)
	}
}

// refreshSharers looks again at the containers that share the network of id,
// whose process may be new.
func (k *keeper) refreshSharers(ctx context.Context, id string) {
	for sharer, r := range k.known {
		if r.target == id {
			k.ask(ctx, sharer, r, false)
		}
	}
}

// ask has Docker asked about a container, once at a time. What an event tells
// while Docker is asked may have overtaken the answer; a listing may not.
func (k *keeper) ask(ctx context.Context, id string, r *record, relist bool) {
	if r.asking {
		r.again, r.relist = r.again || !relist, r.relist && relist
		return
	}
	r.relist = relist
	r.asking, r.again = true, false
	k.flights.Go(func() {
		d, ok := k.inspectUntil(ctx, id)
		select {
		case k.answers <- answer{id: id, details: d, ok: ok}:
		case <-ctx.Done():
		}
	})
}

// learn acts on Docker's answer. One that was overtaken by an event is asked
// for again.
func (k *keeper) learn(ctx context.Context, a answer) {
	r, ok := k.known[a.id]
	if !ok || !a.ok {
		return
	}
	r.asking = false
	if r.again {
		k.ask(ctx, a.id, r, r.relist)
		return
	}
	if k.apply(ctx, a.id, a.details, r) && r.relist && k.synced {
		k.corrected(a.id, r)
	}
	k.resignal(ctx, r)
	delete(k.awaited, a.id)
	k.maybeSynced(ctx)
}

// corrected counts what no event had told. A stream that has kept something
// back may be deaf.
func (k *keeper) corrected(id string, r *record) {
	k.metrics.corrections.Inc()
	k.log.Info("a listing showed what no event had told", zap.String("container", id), zap.String("name", r.c.Name))
	if k.suspect {
		k.suspect = false
		k.askSubscription()
	}
}
