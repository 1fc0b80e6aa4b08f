// Package selfmon watches the agent itself. It owns the node's session and
// record in etcd, the answers to "alive?" and "ready?", and what else the agent's one
// HTTP port answers. It leaves containers to package agent, the keys to package status
// and what clients may do at the port to package port.
package selfmon

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/projecteru2/eru-agent/port"
	"github.com/projecteru2/eru-agent/status"
)

// Agent is asked how it fares: *agent.Agent.
type Agent interface {
	Alive(ctx context.Context) error
	Pending(ctx context.Context) ([]string, error)
	Containers(ctx context.Context) ([]status.Entry, error)
}

// Sessions keeps a lease: *status.Store.
type Sessions interface {
	Hold(ctx context.Context, ttl time.Duration, up func(lease int64)) error
}

// Keys brings etcd to what is wanted: *status.Writer.
type Keys interface {
	SetNode(n status.Node, lease int64)
	Settled() bool
	Wait(ctx context.Context) error
}

// Config is what is watched, and how.
type Config struct {
	Node        status.Node
	TTL         time.Duration // of the node's session
	HoldSession bool          // hold a session at all
	File        string        // that the configuration is read from, absolute
	HTTP        HTTP
}

// Selfmon watches the agent.
type Selfmon struct {
	cfg      Config
	agent    Agent
	flowing  func() bool // Docker's events
	sessions Sessions
	keys     Keys
	memory   Memory
	log      *zap.Logger
	registry *prometheus.Registry
	cut      prometheus.Counter // connections to the port
	ready    prometheus.Gauge   // as of the last scrape
	session  *session
	reloads  *reloads
	written  atomic.Bool // etcd has taken all of the first pass
	stopping atomic.Bool
}

// New returns a Selfmon; its metrics are registered with reg, which it also
// serves.
func New(cfg Config, agent Agent, flowing func() bool, sessions Sessions, keys Keys, memory Memory, log *zap.Logger, reg *prometheus.Registry) *Selfmon {
	s := &Selfmon{
		cfg: cfg, agent: agent, flowing: flowing, sessions: sessions, keys: keys, memory: memory, log: log, registry: reg,
		session: newSession(reg), reloads: newReloads(reg),
		cut:   port.NewCut("eru_agent_"),
		ready: prometheus.NewGauge(prometheus.GaugeOpts{Name: "eru_agent_ready", Help: "1 if /readyz says yes, 0 if not."}),
	}
	reg.MustRegister(s.cut, s.ready)
	return s
}

// aliveWithin bounds how long the agent may take to answer a question.
const aliveWithin = 2 * time.Second

// Alive returns nil if the agent's own loop turns.
func (s *Selfmon) Alive(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, aliveWithin)
	defer cancel()
	if err := s.agent.Alive(ctx); err != nil {
		return fmt.Errorf("asking the agent's loop: no answer within %s: %w", aliveWithin, err)
	}
	return nil
}

// Ready returns nil if events flow, the session is held, every container has
// had its first verdict and etcd has taken all of it; else an error that names
// all that is missing. Later changes that etcd has yet to take are no lack: from
// then on the session tells of etcd.
func (s *Selfmon) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, aliveWithin)
	defer cancel()
	var missing []string
	if !s.flowing() {
		missing = append(missing, "Docker: its events do not flow")
	}
	if s.cfg.HoldSession && !s.session.isUp() {
		missing = append(missing, "etcd: no session is held")
	}
	pending, err := s.agent.Pending(ctx)
	switch {
	case err != nil:
		missing = append(missing, "agent: its loop does not answer")
	case len(pending) > 0:
		missing = append(missing, "containers: first verdict waits for "+some(pending))
	}
	switch {
	case s.written.Load():
	case !s.keys.Settled():
		missing = append(missing, "etcd: has not taken all statuses yet")
	case err == nil && len(pending) == 0 && s.cfg.HoldSession:
		s.written.Store(true)
	}
	if len(missing) > 0 {
		return errors.New(strings.Join(missing, "; "))
	}
	return nil
}

// some names the first of many.
func some(names []string) string {
	const most = 3
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// WaitReady returns when Ready does not fail, or ctx's error.
func (s *Selfmon) WaitReady(ctx context.Context) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if s.Ready(ctx) == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
