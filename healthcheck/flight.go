package healthcheck

import (
	"container/heap"
	"context"
	"errors"
	"time"
)

// take removes the next task that is due, nil if there is none or too much is
// under way. A task takes its share of slots at once, so it may take the number
// under way beyond the bound, by less than its share.
func (r *Runner) take() *task {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.since(time.Now())
	if r.fullLocked() || len(r.queue) == 0 || r.queue[0].due > now {
		return nil
	}
	t := heap.Pop(&r.queue).(*task)
	r.flying += t.Check.share()
	r.metrics.lag.Observe((now - t.due).Seconds())
	return t
}

func (r *Runner) fullLocked() bool { return r.flying >= max(r.cfg.Concurrency, 1) }

// fly makes one attempt for t, hands out the result and puts t back into the
// queue.
func (r *Runner) fly(ctx context.Context, t *task) {
	a := r.begin(t.Check.Timeout) // before the time runs, so that no pause falls between the two
	asking, cancel := context.WithTimeout(ctx, t.Check.Timeout)
	defer cancel()
	if !r.depart(t, cancel) {
		return
	}
	v, void := t.Check.Ask(asking, t.Target, r.metrics.observe), false
	if ctx.Err() == nil && !errors.Is(asking.Err(), context.Canceled) { // else it was cut off
		void = r.void(ctx, v, a)
		res := Result{ID: t.ID, Epoch: t.Epoch, Verdict: v, Void: void, At: time.Now()}
		// Handed out before the next attempt can start, so that verdicts of
		// one container stay in order.
		select {
		case r.results <- res:
		case <-ctx.Done():
		}
	}
	r.land(t, v.Pass && !void)
}

// depart lets Remove end the attempt from now on; false if it already did.
func (r *Runner) depart(t *task, cancel context.CancelFunc) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t.gone {
		r.endLocked(t)
		return false
	}
	t.cancel = cancel
	return true
}

func (r *Runner) endLocked(t *task) {
	if r.fullLocked() {
		r.wakeUp()
	}
	r.flying -= t.Check.share()
	t.cancel = nil
}

// land puts t back into the queue.
func (r *Runner) land(t *task, pass bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.endLocked(t)
	if t.gone {
		return
	}
	t.due = t.pace.next(r.since(time.Now()), pass)
	heap.Push(&r.queue, t)
	if t.index == 0 {
		r.wakeUp()
	}
}
