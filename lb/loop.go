package lb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/projecteru2/eru-agent/status"
)

const (
	// checkEvery is after how long everything is applied again, in case somebody
	// else has changed the proxy.
	checkEvery = time.Minute
	// applyWithin bounds one Apply.
	applyWithin = 10 * time.Second
	// What was not applied is tried again after retryFirst, then after twice as
	// long each time, up to retryMost.
	retryFirst = 250 * time.Millisecond
	retryMost  = 8 * time.Second
)

// Loop brings an Outlet to what Views know.
type Loop struct {
	outlet   Outlet
	followed []Followed
	log      *zap.Logger
	metrics  *metrics
	troubles troubles

	wake      chan struct{}
	asked     chan chan<- struct{}
	confirmed <-chan []*status.Service // nil unless the outlet is a Confirmer

	mu      sync.Mutex
	changed time.Time // the oldest change that is not applied; zero for none

	// Of serve's goroutine.
	reader  status.Reader
	records chan status.Reader
	applied []*status.Service
	empty   map[int]*status.Service // of followed services without a container
	retry   time.Duration

	current  atomic.Pointer[report]
	revision atomic.Int64 // the newest that was applied
}

// report is what is known of the last Apply.
type report struct {
	services []*status.Service
	unknown  []string // services of which nothing has been read
	err      error
}

// New returns a Loop that says who it is as reader does. Its metrics are
// registered with reg.
func New(reader status.Reader, followed []Followed, outlet Outlet, log *zap.Logger, reg prometheus.Registerer) *Loop {
	l := &Loop{
		outlet: outlet, followed: followed, log: log, troubles: troubles{log: log},
		wake: make(chan struct{}, 1), asked: make(chan chan<- struct{}),
		reader: reader, records: make(chan status.Reader, 1), empty: map[int]*status.Service{},
	}
	for _, f := range followed {
		l.reader.Follows = append(l.reader.Follows, f.name())
	}
	if c, ok := outlet.(Confirmer); ok {
		l.confirmed = c.Confirmed()
	}
	l.reader.Drained = map[string]int64{}
	l.metrics = newMetrics(l, reg)
	return l
}

// Records receives what this reader acknowledges, for Store.Acknowledge.
func (l *Loop) Records() <-chan status.Reader { return l.records }

// Run follows etcd and applies until ctx ends, then returns nil. The proxy stays
// as it is.
func (l *Loop) Run(ctx context.Context) error {
	parts, ctx := errgroup.WithContext(ctx)
	for _, f := range l.followed {
		parts.Go(func() error { return f.View.Run(ctx) })
		parts.Go(func() error { l.forward(ctx, f.View.Changed()); return nil })
	}
	parts.Go(func() error { l.serve(ctx); return nil })
	return parts.Wait()
}

func (l *Loop) forward(ctx context.Context, changed <-chan struct{}) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
		l.mu.Lock()
		if l.changed.IsZero() {
			l.changed = time.Now()
		}
		l.mu.Unlock()
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

func (l *Loop) serve(ctx context.Context) {
	l.record(l.reader.Drained)
	check := time.NewTicker(checkEvery)
	defer check.Stop()
	again := time.NewTimer(0) // at start
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case answer := <-l.asked:
			close(answer)
			continue
		case services := <-l.confirmed:
			l.acknowledge(services, nil)
			continue
		case <-l.wake:
			l.news(ctx)
		case <-l.outlet.Lost():
			l.apply(ctx)
		case <-again.C:
			l.apply(ctx)
		case <-check.C:
			l.check(ctx)
		}
		again.Stop()
		if l.retry > 0 {
			again.Reset(l.retry)
		}
	}
}

// news applies what a View has told of, unless it is of etcd alone.
func (l *Loop) news(ctx context.Context) {
	services, unknown := l.gather()
	last := l.current.Load()
	if last == nil || last.err != nil || !slices.Equal(services, l.applied) {
		l.apply(ctx)
		return
	}
	l.mu.Lock()
	l.changed = time.Time{}
	l.mu.Unlock()
	l.current.Store(&report{services: services, unknown: unknown})
}

// check has the Outlet look at what it has applied; what is new comes first,
// because an Outlet may look at nothing else then.
func (l *Loop) check(ctx context.Context) {
	if services, _ := l.gather(); !slices.Equal(services, l.applied) {
		l.apply(ctx)
	}
	l.apply(ctx)
}

// apply brings the proxy to what is known now.
func (l *Loop) apply(ctx context.Context) {
	l.mu.Lock()
	since := l.changed
	l.changed = time.Time{}
	l.mu.Unlock()
	services, unknown := l.gather()
	begun := time.Now()
	bounded, cancel := context.WithTimeout(ctx, applyWithin)
	err := l.outlet.Apply(bounded, services)
	cancel()
	if ctx.Err() != nil {
		return // what went wrong is that it ends
	}
	l.metrics.applied(begun, since, err)
	l.name(err)
	l.current.Store(&report{services: services, unknown: unknown, err: err})
	l.applied = services
	if l.confirmed == nil {
		l.acknowledge(services, err)
	}
	if err == nil {
		l.retry = 0
		l.revision.Store(newest(services))
		return
	}
	l.retry = min(max(2*l.retry, retryFirst), retryMost)
	if !since.IsZero() {
		l.restore(since)
	}
}

// restore makes the lag of a change that was not applied count on.
func (l *Loop) restore(since time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changed = since
}

// name says what is wrong.
func (l *Loop) name(err error) {
	texts := map[string]bool{}
	for _, one := range each(err) {
		texts[one.Error()] = true
	}
	for _, s := range l.empty {
		texts[fmt.Sprintf("service %s/%s has no container", s.App, s.Entrypoint)] = true
	}
	l.troubles.now(texts)
}

// Alive returns nil if the loop turns, or ctx's error.
func (l *Loop) Alive(ctx context.Context) error {
	answer := make(chan struct{})
	select {
	case l.asked <- answer:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("asking the loop: %w", ctx.Err())
	}
}

// Ready returns nil if all services are known and the proxy has taken all that
// is known, else an error that names what is missing.
func (l *Loop) Ready() error {
	now := l.current.Load()
	switch {
	case now == nil:
		return errors.New("nothing has been applied yet")
	case len(now.unknown) > 0:
		return fmt.Errorf("etcd: nothing has been read of %s", strings.Join(now.unknown, ", "))
	case now.err != nil:
		return now.err
	}
	return nil
}
