package watcher

import (
	"context"
	"time"

	"go.uber.org/zap"
)

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
	k.askAfter(ctx, id, r, relist, 0)
}

func (k *keeper) askAfter(ctx context.Context, id string, r *record, relist bool, wait time.Duration) {
	if r.asking {
		r.again, r.relist = r.again || !relist, r.relist && relist
		return
	}
	r.relist = relist
	k.fly(ctx, id, r, wait)
}

// question is whether Docker has to be asked.
type question int

const (
	none   question = iota
	minor           // about what is known already, but for a detail
	urgent          // about what is not known
)

// minorWait lets what is known be published first. Docker itself waits 100 ms
// before it starts a container again.
const minorWait = 10 * time.Millisecond

// fly asks Docker after a wait. The answer comes to learn.
func (k *keeper) fly(ctx context.Context, id string, r *record, wait time.Duration) {
	r.asking, r.again = true, false
	send := func(a answer) {
		select {
		case k.answers <- a:
		case <-ctx.Done():
		}
	}
	k.flights.Go(func() {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		if d, ok := k.inspectUntil(ctx, id, func(err error) { send(answer{id: id, refused: err}) }); ok {
			send(answer{id: id, details: d})
		}
	})
}

// learn acts on Docker's answer. One that was overtaken by an event is asked
// for again.
func (k *keeper) learn(ctx context.Context, a answer) {
	if a.refused != nil {
		k.unawait(ctx, a.id, a.refused)
		return
	}
	r, ok := k.known[a.id]
	if !ok {
		return
	}
	r.asking = false
	if r.again {
		k.ask(ctx, a.id, r, r.relist)
		return
	}
	news := k.apply(ctx, a.id, a.details, r)
	if r.asking { // the answer is doubted
		return
	}
	if news && r.relist && k.synced {
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
