package status

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// DefaultPanicShare is the share of a service's containers that may turn
// unhealthy while running before a View keeps the last set.
const DefaultPanicShare = 0.5

// Scope says which containers a View is of; an empty field is any, so that the
// zero Scope is everything.
type Scope struct {
	App, Entrypoint, Node string
}

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

// View is what a proxy may rely on (docs/proxies.md, "The rules").
type View struct{}

// Service is the set of servers of one app's entrypoint at one moment; it does
// not change.
type Service struct {
	App, Entrypoint string
	Servers         []Server // by node and ID
	// Panic says that so many are unhealthy while running that the last set is
	// kept.
	Panic bool
	// Revision is etcd's of the newest change that the set takes into account.
	Revision int64
}

// Use is what a proxy does with a server.
type Use int

// What a proxy does with a server.
const (
	UseNone  Use = iota // sends nothing
	UseDrain            // begins nothing new, and lets end what is under way
	UseReady            // sends requests
)

// Server is one container of a service, as a proxy may use it.
type Server struct {
	Key      Key
	Status   Status // the newest that could be read
	Revision int64  // etcd's of that
	Use      Use
	// Silent says that the agent of its node is not there: Status is the last
	// known.
	Silent bool
}

// Kept says that the server is used although it is not healthy.
func (s Server) Kept() bool { return s.Use == UseReady && !s.Status.Healthy }

// NewView returns a View of what store holds; it knows at once what the copy on
// disk says, and more once Run runs.
func NewView(store *Store, cfg ViewConfig, log *zap.Logger) *View { panic("not yet") }

// Run follows etcd until ctx ends, then returns nil.
func (v *View) Run(ctx context.Context) error { panic("not yet") }

// Changed receives after something has changed; what was not received is not
// heaped up.
func (v *View) Changed() <-chan struct{} { panic("not yet") }

// Services returns all services by name. A service that has not changed is the
// same pointer as before.
func (v *View) Services() []*Service { panic("not yet") }

// Service returns one service, nil for one of which no container is known.
func (v *View) Service(app, entrypoint string) *Service { panic("not yet") }

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
func (v *View) State() ViewState { panic("not yet") }
