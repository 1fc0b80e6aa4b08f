package selfmon

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/projecteru2/eru-agent/status"
)

// session is the lease of the day.
type session struct {
	up   prometheus.Gauge
	lost prometheus.Counter

	mu      sync.Mutex
	lease   int64         // 0 while there is none
	changed chan struct{} // closed at the next set
}

func newSession(reg prometheus.Registerer) *session {
	s := &session{
		changed: make(chan struct{}),
		up: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "eru_agent_etcd_session_up", Help: "1 while the node's session in etcd is held.",
		}),
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "eru_agent_etcd_session_lost_total", Help: "Sessions that ended although the agent lived.",
		}),
	}
	reg.MustRegister(s.up, s.lost)
	return s
}

func (s *session) set(lease int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lease = lease
	close(s.changed)
	s.changed = make(chan struct{})
	s.up.Set(0)
	if lease != 0 {
		s.up.Set(1)
	}
}

func (s *session) get() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lease
}

// Lease returns the lease of the node's session, 0 while there is none, and what
// is closed when that changes.
func (s *Selfmon) Lease() (int64, <-chan struct{}) {
	s.session.mu.Lock()
	defer s.session.mu.Unlock()
	return s.session.lease, s.session.changed
}

func (s *session) isUp() bool { return s.get() != 0 }

// KeepSession holds the node's session until ctx ends, then returns nil; a
// session that is lost is opened anew. The node's record hangs on it.
func (s *Selfmon) KeepSession(ctx context.Context) error {
	if !s.cfg.HoldSession {
		return nil
	}
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 50*time.Millisecond, time.Second
	for failures := 0; ; failures++ {
		err := s.sessions.Hold(ctx, s.cfg.TTL, func(lease int64) {
			failures = 0
			wait.Reset()
			s.session.set(lease)
			s.keys.SetNode(s.record(), lease)
		})
		if ctx.Err() == nil {
			s.withoutSession(err, failures)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait.NextBackOff()):
		}
	}
}

// withoutSession says so: at once, then every minute or so.
func (s *Selfmon) withoutSession(err error, failures int) {
	s.session.set(0)
	if errors.Is(err, status.ErrSessionLost) {
		s.session.lost.Inc()
	}
	if failures%60 == 0 {
		s.log.Warn("the node's session in etcd is not held; statuses stay as they are, and it is opened again", zap.Error(err))
	}
}

// record is the node's, as it stands.
func (s *Selfmon) record() status.Node {
	n := s.cfg.Node
	n.Alive, n.Agent.State = true, status.NodeRunning
	if s.stopping.Load() {
		n.Agent.State = status.NodeStopping
	}
	return n
}

// SayStopping writes into the node's record that the agent stops on purpose,
// and waits until etcd has taken that and all statuses, or ctx's end.
// The session is left to run out: nothing is revoked.
func (s *Selfmon) SayStopping(ctx context.Context) error {
	s.stopping.Store(true)
	if lease := s.session.get(); lease != 0 {
		s.keys.SetNode(s.record(), lease)
	}
	if err := s.keys.Wait(ctx); err != nil {
		return fmt.Errorf("saying in etcd that the agent stops: %w", err)
	}
	return nil
}
