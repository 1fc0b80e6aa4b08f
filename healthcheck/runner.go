package healthcheck

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// Job puts one life of one container under care.
type Job struct {
	ID     string // the container's
	Epoch  uint64 // its life; comes back in every Result
	Check  Check
	Target Target
	Passed bool // it passed before in this life, as an earlier agent published
}

// Result is the verdict on all probes of one container, for the life that
// Epoch names.
type Result struct {
	ID      string
	Epoch   uint64
	Verdict Verdict // of the first probe that failed, or of the slowest that passed
	Void    bool    // measured while the agent itself was unfit; says nothing, and is asked again as after a failure
	At      time.Time
}

// Runner probes the containers under its care, each on its own pace, with a
// bounded number of probes under way.
type Runner struct {
	cfg     Config
	control Control
	metrics *Metrics
	epoch   time.Time // zero of the grid
	results chan Result
	wake    chan struct{}
	stalls  stalls
	doubts  singleflight.Group

	mu     sync.Mutex
	jobs   map[string]*task
	queue  taskQueue
	flying int // slots taken by tasks under way
}

// task is a Job in the queue, or under way.
type task struct {
	Job
	pace   pace
	due    time.Duration
	index  int // in the queue, -1 while under way or gone
	cancel context.CancelFunc
	gone   bool
}

// NewRunner returns a Runner; Run must be called for it to probe.
func NewRunner(cfg Config, control Control, metrics *Metrics) *Runner {
	return &Runner{
		cfg: cfg, control: control, metrics: metrics, epoch: time.Now(),
		results: make(chan Result), wake: make(chan struct{}, 1),
		jobs: map[string]*task{},
	}
}

// Results is where verdicts come out. Its reader must not block for long:
// probes wait for it. Verdicts of one life come in order; one of a former life
// may still come after Set, and Epoch tells.
func (r *Runner) Results() <-chan Result { return r.results }

// Configure takes new waits for what is put under care from now on; the new
// Concurrency holds at once for all.
func (r *Runner) Configure(cfg Config) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cfg = cfg
}

// Set puts a container under care, or replaces what was known of it; a probe
// of the former life that is under way is cut off without a verdict.
func (r *Runner) Set(j Job) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.removeLocked(j.ID)
	t := &task{Job: j, pace: newPace(j.ID, j.Check, r.cfg, j.Passed), index: -1}
	r.jobs[j.ID] = t
	t.due = t.pace.first(r.since(time.Now()))
	heap.Push(&r.queue, t)
	r.wakeUp()
}

// Remove ends the care of a container.
func (r *Runner) Remove(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.removeLocked(id)
}

func (r *Runner) removeLocked(id string) {
	t, ok := r.jobs[id]
	if !ok {
		return
	}
	delete(r.jobs, id)
	t.gone = true
	if t.index >= 0 {
		heap.Remove(&r.queue, t.index)
	}
	if t.cancel != nil {
		t.cancel()
	}
}

func (r *Runner) wakeUp() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *Runner) since(t time.Time) time.Duration { return t.Sub(r.epoch) }

// Run probes until ctx ends, then cuts off the probes under way, waits for them
// and returns nil.
func (r *Runner) Run(ctx context.Context) error {
	var flights sync.WaitGroup
	defer flights.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		for t := r.take(); t != nil; t = r.take() {
			flights.Go(func() { r.fly(ctx, t) })
		}
		wait, now := r.untilNext(), time.Now()
		r.stalls.mark(now, now.Add(wait))
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
		case <-timer.C:
		}
		now = time.Now()
		r.stalls.mark(now, now)
	}
}

// untilNext is how long the runner may sleep. While probes are under way it
// wakes at each step of the grid, to notice a pause of the agent itself.
func (r *Runner) untilNext() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.since(time.Now())
	wait := time.Hour
	if len(r.queue) > 0 && !r.fullLocked() {
		wait = r.queue[0].due - now
	}
	if r.flying > 0 {
		wait = min(wait, now.Truncate(r.cfg.Grid)+r.cfg.Grid-now)
	}
	return max(wait, 0)
}
