// Package monitor looks after nodes whose agent has fallen silent. All agents
// stand for election; the elected one asks the silent node's host and containers
// itself, goes on probing those that answer, and says in etcd what is lost. It
// leaves the keys, the election and the fence of each write to package status,
// how a container is asked to package healthcheck, and the session that makes an
// agent a candidate to package selfmon.
package monitor

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"go.uber.org/zap"

	"github.com/projecteru2/eru-agent/healthcheck"
	"github.com/projecteru2/eru-agent/status"
)

// Store elects, and tells which nodes are there: *status.Store.
type Store interface {
	Lead(ctx context.Context, me status.Monitor, lease int64, lead func(context.Context, *status.Term) error) error
	FollowNodes(ctx context.Context, tell func(status.Presence)) error
}

// Session is what makes an agent a candidate: *selfmon.Selfmon. The lease is 0
// while there is none; the channel is closed when it changes.
type Session interface {
	Lease() (int64, <-chan struct{})
}

// Checks probes containers: *healthcheck.Runner.
type Checks interface {
	Set(healthcheck.Job)
	Remove(id string)
	Results() <-chan healthcheck.Result
	Run(ctx context.Context) error
}

// Network asks other hosts: Wire.
type Network interface {
	// Ask says which of places answer, if only by refusing. It is false if this
	// host was not fit to ask.
	Ask(ctx context.Context, places []netip.AddrPort) (map[netip.AddrPort]bool, bool)
	// Along says whether this host sends to place by the way on which it
	// reaches host.
	Along(host, place netip.Addr) bool
}

// Config is how careful a monitor is.
type Config struct {
	Node, Instance string
	// MaxLost is the share of the nodes that may go silent together, from 0 to 1,
	// or one node if that is more; of more nothing is cut.
	MaxLost float64
	// Grace is how long after its session's end an agent that said that it stops
	// is left alone.
	Grace time.Duration
	// ForgetAfter is after which silence a node is forgotten; 0 for never.
	ForgetAfter time.Duration
	// HostPorts are asked of a host; a refusal is an answer.
	HostPorts []uint16
	// Control are asked to find out whether this host can reach anybody, in the
	// place of other nodes that live.
	Control []netip.AddrPort
	// Fallback are asked when there is no other node that lives.
	Fallback []netip.AddrPort
}

// Monitor is one agent's part in looking after the others.
type Monitor struct {
	cfg     Config
	store   Store
	session Session
	network Network
	checks  func() Checks
	parser  *healthcheck.Parser
	log     *zap.Logger
	metrics *Metrics
}

// New returns a Monitor; checks makes what probes during one term.
func New(cfg Config, store Store, session Session, network Network, checks func() Checks, parser *healthcheck.Parser,
	log *zap.Logger, metrics *Metrics,
) *Monitor {
	return &Monitor{cfg: cfg, store: store, session: session, network: network, checks: checks, parser: parser, log: log, metrics: metrics}
}

// Run stands for election whenever a session is held, and does a monitor's duty
// when elected, until ctx ends; then it returns nil.
func (m *Monitor) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		lease, changed := m.session.Lease()
		if lease != 0 {
			m.stand(ctx, lease, changed)
		}
		select {
		case <-ctx.Done():
		case <-changed:
		}
	}
	return nil
}

// stand is a candidate, or the elected one, as long as the session is this one.
func (m *Monitor) stand(ctx context.Context, lease int64, changed <-chan struct{}) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-changed:
			cancel()
		case <-ctx.Done():
		}
	}()
	me := status.Monitor{Node: m.cfg.Node, Instance: m.cfg.Instance}
	err := m.store.Lead(ctx, me, lease, func(ctx context.Context, t *status.Term) error { return m.serve(ctx, t) })
	if err != nil && ctx.Err() == nil {
		m.log.Debug("no candidate until there is another session", zap.Error(err))
	}
	cancel()
	<-done
}

// serve does the duty of one term.
func (m *Monitor) serve(ctx context.Context, t Term) error {
	m.log.Info("elected: this agent looks after nodes that fall silent")
	m.metrics.leader.Set(1)
	err := newDuty(m, t).run(ctx)
	m.metrics.resign()
	m.log.Info("not the elected one any more", zap.Error(err))
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
