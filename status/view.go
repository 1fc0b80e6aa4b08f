package status

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
)

// DefaultPanicShare is the share of a service's containers that may turn
// unhealthy while running before a View keeps the last set.
const DefaultPanicShare = 0.5

// ViewConfig says what a View is of and how careful it is; its zero value is a
// View of everything by the contract's defaults.
type ViewConfig struct {
	Scope Scope
	// PanicShare is from 0 to 1, 0 for DefaultPanicShare. If more than it of a
	// service turns unhealthy while running, its last set is kept. 1 never is.
	PanicShare float64
	// Hold is how long a server that had left its service has to be healthy
	// before it is let in again; 0 lets it in at once. A new one is never held,
	// and none is while its service would be without any.
	Hold time.Duration
	// File holds a copy of what is known, so that a reader that starts while
	// etcd is away begins with the last known set; "" for none.
	File string
}

func (c ViewConfig) rules() rules {
	share := DefaultPanicShare
	if c.PanicShare > 0 {
		share = min(c.PanicShare, 1)
	}
	return rules{share: share, hold: max(c.Hold, 0)}
}

// View is what a proxy may rely on (docs/proxies.md, "The rules"). Its methods may
// be called from anywhere.
type View struct {
	store   *Store
	cfg     ViewConfig
	log     *zap.Logger
	changed chan struct{}
	wake    chan struct{} // when to tick has changed
	unsaved chan struct{} // the copy is older than what is known

	mu       sync.Mutex
	reading  *reading
	machine  *machine
	synced   bool
	trouble  error
	fromCopy bool
}

// NewView returns a View of what store holds; it knows at once what the copy on
// disk says, and more once Run runs.
func NewView(store *Store, cfg ViewConfig, log *zap.Logger) *View {
	v := &View{store: store, cfg: cfg, log: log, changed: make(chan struct{}, 1), wake: make(chan struct{}, 1), unsaved: make(chan struct{}, 1),
		reading: newReading(store.keys, cfg.Scope, newFaults(log)), machine: newMachine(cfg.rules())}
	if cfg.File != "" {
		v.reading.raw = map[string]stored{}
		v.load(time.Now())
	}
	return v
}

// Run follows etcd until ctx ends, then returns nil. It is called once.
func (v *View) Run(ctx context.Context) error {
	var tasks sync.WaitGroup
	tasks.Go(func() { v.keepTime(ctx) })
	if v.cfg.File != "" {
		tasks.Go(func() { v.keepCopy(ctx) })
	}
	f := follower{store: v.store, scope: v.cfg.Scope, audience: v}
	f.run(ctx)
	tasks.Wait()
	if v.cfg.File != "" {
		v.saveLast()
	}
	return nil
}

// Changed receives after a service has changed, or whether etcd is followed; what
// was not received is not heaped up.
func (v *View) Changed() <-chan struct{} { return v.changed }

// Services returns all services by name. A service that has not changed is the
// same pointer as before.
func (v *View) Services() []*Service {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.machine.services())
}

// Service returns one service, nil for one of which no container is known.
func (v *View) Service(app, entrypoint string) *Service {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.machine.shown[serviceName{app, entrypoint}]
}

// ViewState says how a View fares.
type ViewState struct {
	// Synced says that the View is what etcd holds; it is false before the first
	// read and while etcd cannot be followed, and Lost then says why.
	Synced bool
	Lost   error
	// FromCopy says that nothing has been read since the start: all that is known
	// is of the copy on disk.
	FromCopy bool
	Revision int64 // the highest that was heard of
	// Unreadable counts values, keys and addresses that could not be read, by
	// why: "json", "version", "size", "contradiction", "address", "key".
	Unreadable map[string]uint64
}

// State says how the View fares.
func (v *View) State() ViewState {
	v.mu.Lock()
	defer v.mu.Unlock()
	return ViewState{Synced: v.synced, Lost: v.trouble, FromCopy: v.fromCopy,
		Revision: v.reading.seen, Unreadable: maps.Clone(v.reading.faults.counts)}
}
