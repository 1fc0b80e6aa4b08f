// Package xds is the outlet of lb for Envoy and gRPC: it serves what services
// are as discovery resources (EDS, and CDS, RDS and LDS around it, so that a
// gRPC client needs no other control plane), over ADS or one service each, as
// state of the world or as deltas. It leaves to lb what a service is.
package xds

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"github.com/projecteru2/eru-agent/lb"
	"github.com/projecteru2/eru-agent/status"
)

// Defaults of a Config.
const (
	DefaultAddr          = "127.0.0.1:18000"
	DefaultMaxStreams    = 1000
	DefaultConfirmWithin = 10 * time.Second
)

// Config says what is served, where and to whom; the zero value serves nothing,
// on the default address.
type Config struct {
	// Routes are what is served, each under the name of its backend: the cluster,
	// its endpoints, the route and the listener bear it. No two may have one.
	Routes []lb.Route
	Addr   string // "" for DefaultAddr
	TLS    TLS
	// MaxStreams is how many streams there may be at once, 0 for
	// DefaultMaxStreams. An ADS client has one.
	MaxStreams int
	// ConfirmWithin is how long a change waits for the clients to confirm it,
	// 0 for DefaultConfirmWithin.
	ConfirmWithin time.Duration
}

// Outlet serves services to the clients of xDS. It is a prometheus.Collector of
// its own metrics.
type Outlet struct {
	routes    []lb.Route
	tls       TLS
	listener  net.Listener
	clients   *clients
	descs     descs
	log       *zap.Logger
	resources cache.Cache
	endpoints *cache.LinearCache

	mu      sync.Mutex // one Apply at a time
	version uint64     // of endpoints
	last    []*status.Service
	held    map[string]types.Resource // what endpoints holds
	missing map[string]int            // backend -> servers that would be used and cannot be dialled
}

// New binds the address, so that one which is taken fails at once. What is
// wrong with the configuration fails as well.
func New(cfg Config, log *zap.Logger) (*Outlet, error) {
	if err := cfg.TLS.check(); err != nil {
		return nil, err
	}
	addr := cmp.Or(cfg.Addr, DefaultAddr)
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listening on %q: %w", addr, err)
	}
	warnIfOpen(l, cfg.TLS, log)
	o := &Outlet{
		routes:   cfg.Routes,
		tls:      cfg.TLS,
		listener: l,
		log:      log,
		descs:    newDescs(),
		last:     make([]*status.Service, len(cfg.Routes)),
		held:     map[string]types.Resource{},
		missing:  map[string]int{},
	}
	// Versions of one process are never those of another: a client that comes
	// back after a restart never takes our first for the one that it has.
	prefix := time.Now().UTC().Format("20060102T150405.000000000Z") + "-"
	o.clients = newClients(prefix, cmp.Or(cfg.MaxStreams, DefaultMaxStreams), cmp.Or(cfg.ConfirmWithin, DefaultConfirmWithin), log)
	o.endpoints = cache.NewLinearCache(resource.EndpointType, cache.WithVersionPrefix(prefix))
	o.resources = newResources(prefix, o.endpoints, cfg.Routes)
	return o, nil
}

// Addr is where clients connect to.
func (o *Outlet) Addr() net.Addr { return o.listener.Addr() }

// Apply sets what is served, and returns. Clients that are connected are told at
// once; Confirmed says when they have taken it. A service that is not in
// services stays as it is, and who asks for one that never was waits.
func (o *Outlet) Apply(_ context.Context, services []*status.Service) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	changed := o.changed(services)
	if len(changed) > 0 {
		if err := o.endpoints.UpdateResources(changed, nil); err != nil {
			return fmt.Errorf("setting the endpoints of %d services: %w", len(changed), err)
		}
		o.version++ // as the cache counts
	}
	// After the cache has it: who subscribes in between is given it anyway.
	o.clients.changed(o.version, changed, services)
	return nil
}

// changed is what services make of the endpoints that is not what is held.
func (o *Outlet) changed(services []*status.Service) map[string]types.Resource {
	type name struct{ app, entrypoint string }
	by := make(map[name]*status.Service, len(services))
	for _, s := range services {
		by[name{s.App, s.Entrypoint}] = s
	}
	changed := map[string]types.Resource{}
	for i, r := range o.routes {
		now := by[name{r.App, r.Entrypoint}]
		if now == nil || now == o.last[i] {
			continue
		}
		o.last[i] = now
		o.miss(r, now.Servers)
		if a := assignment(r, now.Servers); o.held[r.Backend] == nil || !proto.Equal(a, o.held[r.Backend]) {
			changed[r.Backend], o.held[r.Backend] = a, a
		}
	}
	return changed
}

// miss counts the servers that would be used and publish nothing that can be
// dialled, as when the configuration has a wrong port, and says so once.
func (o *Outlet) miss(r lb.Route, servers []status.Server) {
	n := 0
	for _, sv := range servers {
		if _, ok := address(r, sv); !ok && sv.Use == status.UseReady {
			n++
		}
	}
	if n > 0 && o.missing[r.Backend] == 0 {
		o.log.Warn("servers are left out: they do not publish the port", zap.Stringer("service", r), zap.Int("servers", n))
	}
	o.missing[r.Backend] = n
}

// Lost returns nil: what was applied is kept here, not by the clients.
func (o *Outlet) Lost() <-chan struct{} { return nil }

// Confirmed receives the services of an Apply once all clients that are
// connected and follow what it changed have taken it, are gone, have refused it
// or have had Config.ConfirmWithin. Of several that were not received it is the
// newest.
func (o *Outlet) Confirmed() <-chan []*status.Service { return o.clients.changes.confirmed }
