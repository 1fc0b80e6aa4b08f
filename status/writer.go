package status

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// ErrFenced ends a Writer: a newer instance writes for the node.
var ErrFenced = errors.New("fenced")

// ErrHeld ends a Writer at its start: a live agent on another machine writes
// for the node.
var ErrHeld = errors.New("node name is taken")

const auditEvery = time.Minute

// Identity is who writes.
type Identity struct {
	Node     string
	Instance string // unique to this process
	Version  string
	Machine  string
	Started  time.Time
	Address  string // where other hosts reach the node, "" if not known
	Session  bool   // it holds the node's session, so its silence means something
}

// Found is a status of this node that stood in etcd when the Writer took over.
type Found struct {
	Key    Key
	Status Status
}

// Writer brings a node's keys to what the agent wants them to hold: changes
// only, newest value only, one transaction in flight, each fenced by the owner
// record.
type Writer struct {
	store   *Store
	id      Identity
	log     *zap.Logger
	metrics *WriterMetrics
	dns     bool // projections: fields of a status
	traefik bool // and keys beside it
	wake    chan struct{}

	mu       sync.Mutex
	keys     inventory
	synced   bool          // etcd answered the last call
	moved    chan struct{} // closed at the next acknowledgement
	stopping bool          // the node's record says so
	back     bool          // the node's key has been put where none of this session was; only Run's goroutine changes it

	auditEvery time.Duration
	claimed    atomic.Bool
	tell       func(Taken)

	// Of Run's goroutine alone.
	owned bool   // what stood in etcd has been adopted
	rev   int64  // ModRevision of the owner record as last known
	seq   uint64 // sequence of our last acknowledged transaction, 0 before the first

	clearing bool            // an earlier agent projected for Traefik, and this one does not
	sweeps   map[string]bool // services to be swept
	shared   map[string]bool // services of which it was said that they are two
}

// NewWriter returns a Writer that also writes projections; nothing is written
// before Run.
func NewWriter(store *Store, id Identity, log *zap.Logger, metrics *WriterMetrics, projections ...Projection) *Writer {
	return &Writer{store: store, id: id, log: log, metrics: metrics,
		dns: slices.Contains(projections, SkyDNS), traefik: slices.Contains(projections, Traefik),
		wake: make(chan struct{}, 1), keys: newInventory(), moved: make(chan struct{}), auditEvery: auditEvery, tell: func(Taken) {},
		sweeps: map[string]bool{}, shared: map[string]bool{}}
}

// Set says what the key of a container shall hold; detected is when its cause
// was known. A status that is too large for etcd is published without what makes
// it so, and not as healthy.
func (w *Writer) Set(k Key, s Status, detected time.Time) {
	s.DNS = DNS{} // an earlier agent's, if the status was found
	if w.dns {
		s.DNS = s.dns()
	}
	step := s.Step
	s, plain := s.bounded()
	w.change(w.store.keys.container(k), true, func(e *entry) {
		e.step = step
		e.want(plain, 0, detected, s.State != StateHealthy)
		if w.traefik {
			w.keys.serve(e, k).want(s)
		}
	})
}

// SetNode says what the node's key shall hold while lease lives.
func (w *Writer) SetNode(n Node, lease int64) {
	w.mu.Lock()
	w.stopping = n.Agent.State == NodeStopping
	w.mu.Unlock()
	w.change(w.store.keys.node(w.id.Node), true, func(e *entry) { e.want(n.Encode(), lease, time.Now(), false) })
}

func (w *Writer) change(key string, create bool, do func(*entry)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.keys.change(key, create, do)
	if len(w.keys.waiting) > 0 {
		w.nudgeLocked()
	}
}

// Retire deletes a container's key, after what was last wanted of it has been
// written, so that readers see it stopped first.
func (w *Writer) Retire(k Key) {
	w.change(w.store.keys.container(k), false, func(e *entry) { e.gone = true })
}

// Drop deletes a container's key at once: the container lives on under
// another one.
func (w *Writer) Drop(k Key) {
	w.change(w.store.keys.container(k), false, func(e *entry) { e.gone, e.plain, e.bad = true, nil, false })
}

// Claimed says whether this instance has ever owned the node.
func (w *Writer) Claimed() bool { return w.claimed.Load() }

// Settled says whether etcd is known to hold all that is wanted.
func (w *Writer) Settled() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.settledLocked()
}

func (w *Writer) settledLocked() bool { return w.synced && !w.back && w.keys.due() == 0 }

// Wait returns when etcd holds all that is wanted, or ctx's error.
func (w *Writer) Wait(ctx context.Context) error {
	for {
		w.mu.Lock()
		settled, moved := w.settledLocked(), w.moved
		w.mu.Unlock()
		if settled {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("waiting for etcd to take the last statuses: %w", ctx.Err())
		}
	}
}

func (w *Writer) pending() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.keys.due()
}

func (w *Writer) nudgeLocked() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Run claims the node and writes until ctx ends, then returns nil. Whenever it
// takes the node over it hands adopt what it found; nothing is written before
// adopt returns. It returns ErrFenced or ErrHeld, with who and where, when
// another instance writes for the node; every other trouble is retried.
func (w *Writer) Run(ctx context.Context, adopt func(context.Context, []Found) error) error {
	var wait backOff
	failures := 0
	for ctx.Err() == nil {
		err := w.hold(ctx, adopt, func() { wait.reset(); failures = 0 })
		switch {
		case ctx.Err() != nil: // whatever failed, failed because of it
		case errors.Is(err, ErrFenced), errors.Is(err, ErrHeld):
			return err
		case errors.Is(err, errMoved):
			w.log.Debug("looking again at who owns the node", zap.Error(err))
		default:
			failures++
			w.failed(err, failures)
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait.next()):
		}
	}
	return nil
}

// failed says what went wrong: once, then every minute or so.
func (w *Writer) failed(err error, failures int) {
	w.setSynced(false)
	w.metrics.errors.Add(1)
	w.prune()
	w.metrics.queue.Store(int64(w.pending()))
	if failures%60 == 1 {
		w.log.Warn("etcd does not take writes; probing goes on and the newest statuses are kept",
			zap.Strings("endpoints", w.store.cfg.Endpoints), zap.Int("failures", failures), zap.Error(err))
	}
}

// prune forgets containers that came and went while etcd was away: what is kept
// is bounded by the containers that are and those that etcd knows of. No
// transaction is in flight here.
func (w *Writer) prune() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.keys.prune()
}

func (w *Writer) setSynced(synced bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.synced = synced
	w.announceLocked()
}

func (w *Writer) announceLocked() {
	close(w.moved)
	w.moved = make(chan struct{})
}

// hold owns the node until an error: it claims it or makes sure that it still
// owns it, learns what stands in etcd, and then writes what differs.
func (w *Writer) hold(ctx context.Context, adopt func(context.Context, []Found) error, well func()) error {
	if err := w.secure(ctx, adopt); err != nil {
		return err
	}
	well()
	w.setSynced(true)
	audit := time.NewTicker(w.auditEvery)
	defer audit.Stop()
	guard := w.watchOwner(ctx)
	defer guard.stop()
	for {
		if err := w.flush(ctx); err != nil {
			return err
		}
		if err := w.lookBack(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-w.wake:
		case <-guard.alarm:
			return errMoved
		case <-audit.C:
			if err := w.audit(ctx); err != nil {
				return err
			}
		}
	}
}

// lookBack compares all keys once the node's own is there again. While it was
// not, the monitor may have written; from then on it cannot.
func (w *Writer) lookBack(ctx context.Context) error {
	for w.back {
		if err := w.audit(ctx); err != nil {
			return err
		}
		w.lookedBack()
		if err := w.flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (w *Writer) lookedBack() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.back = false
	w.announceLocked()
}

// flush writes until nothing differs, and then cleans up.
func (w *Writer) flush(ctx context.Context) error {
	for {
		b := w.nextBatch()
		w.metrics.queue.Store(int64(b.pending))
		if len(b.entries) == 0 {
			return w.tidy(ctx)
		}
		if err := w.commit(ctx, b); err != nil {
			return fmt.Errorf("writing keys of node %q to etcd, %d at once: %w", w.id.Node, len(b.entries), err)
		}
	}
}
