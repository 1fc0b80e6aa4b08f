package selfmon

import (
	"context"
	"errors"
	"sync"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/trail"
)

// fakeAgent answers, or hangs until it is asked no more.
type fakeAgent struct {
	mu         sync.Mutex
	hangs      bool
	passed     bool
	containers []status.Entry
}

func (a *fakeAgent) set(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
}

func (a *fakeAgent) Alive(ctx context.Context) error {
	a.mu.Lock()
	hangs := a.hangs
	a.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func (a *fakeAgent) Pending(ctx context.Context) ([]string, error) {
	err := a.Alive(ctx)
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.passed {
		return []string{"a", "b", "c", "d", "e"}, err
	}
	return nil, err
}

func (a *fakeAgent) Containers(ctx context.Context) ([]status.Entry, error) {
	err := a.Alive(ctx)
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.containers, err
}

// fakeSessions opens sessions until refused is set, and loses the open one when
// told.
type fakeSessions struct {
	mu      sync.Mutex
	refused error
	tries   []time.Time
	ttl     time.Duration
	lost    chan struct{}
}

func (s *fakeSessions) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *fakeSessions) Hold(ctx context.Context, ttl time.Duration, up func(int64)) error {
	s.mu.Lock()
	s.ttl = ttl
	s.tries = append(s.tries, time.Now())
	lease, refused := int64(len(s.tries)), s.refused
	s.mu.Unlock()
	if refused != nil {
		return refused
	}
	up(lease)
	select {
	case <-ctx.Done():
		return nil
	case <-s.lost:
		return status.ErrSessionLost
	}
}

// fakeKeys remembers the node's record.
type fakeKeys struct {
	mu      sync.Mutex
	settled bool
	node    status.Node
	lease   int64
}

func (k *fakeKeys) set(change func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change()
}

func (k *fakeKeys) SetNode(n status.Node, lease int64) {
	k.set(func() { k.node, k.lease = n, lease })
}

func (k *fakeKeys) Settled() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.settled
}

func (k *fakeKeys) Wait(ctx context.Context) error {
	if k.Settled() {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

func (k *fakeKeys) record() (string, int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.node.Agent.State, k.lease
}

// rig is a Selfmon between its fakes, all of which are well.
type rig struct {
	*Selfmon
	agent    *fakeAgent
	flowing  bool
	sessions *fakeSessions
	keys     *fakeKeys
	reg      *prometheus.Registry
}

func newRig(web HTTP) *rig {
	r := &rig{
		agent: &fakeAgent{passed: true}, flowing: true, keys: &fakeKeys{settled: true},
		sessions: &fakeSessions{lost: make(chan struct{})}, reg: prometheus.NewPedanticRegistry(),
	}
	cfg := Config{
		Node: status.Node{Nodename: "n1", Podname: "p1", Agent: status.NodeAgent{Instance: "i1", Version: "v1"}},
		TTL:  10 * time.Second, HoldSession: true, HTTP: web,
	}
	r.Selfmon = New(cfg, r.agent, func() bool { return r.flowing }, r.sessions, r.keys, trail.New(), zap.NewNop(), r.reg)
	return r
}

// inSession is a rig that holds lease 7.
func inSession(web HTTP) *rig {
	r := newRig(web)
	r.session.set(7)
	return r
}

var errRefused = errors.New("refused")

// elapse lets d go by on the bubble's clock, and then all that follows from it.
func elapse(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // synctest's clock
	synctest.Wait()
}
