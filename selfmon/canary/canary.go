// Package canary makes something change in an agent on which nothing does: a
// target of its own flips at each interval, and the canary measures when that is
// known, in etcd, and told by a watch. It leaves how a target is asked to package
// healthcheck, the key and its writing to package status, and the session on
// which that hangs to package selfmon (docs/adr/0017-the-canary.md).
package canary

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/projecteru2/eru-agent/healthcheck"
	"github.com/projecteru2/eru-agent/status"
)

// ID is what the target has where containers have theirs: under care, and in
// verdicts. Its probes are of this kind, too.
const ID = "canary"

// Target is what flips: *Listener.
type Target interface {
	Addr() netip.AddrPort
	Show(healthy bool)
}

// Checks probes the target: *healthcheck.Runner. Its verdicts go to Judge.
type Checks interface {
	Set(healthcheck.Job)
}

// Keys brings etcd to what is wanted: *status.Writer. What etcd has taken goes to
// Published.
type Keys interface {
	SetCanary(c status.Canary, lease int64)
}

// News tells what etcd says of the key: *status.Store.
type News interface {
	FollowCanary(ctx context.Context, node string, tell func(status.Canary)) error
}

// Session is what the key hangs on: *selfmon.Selfmon.
type Session interface {
	Lease() (int64, <-chan struct{})
}

// Canary flips its target and follows each flip. Its methods may be called from
// any goroutine, and wait for nobody.
type Canary struct {
	node     string
	interval time.Duration
	target   Target
	checks   Checks
	keys     Keys
	news     News
	session  Session
	log      *zap.Logger
	metrics  *metrics

	mu     sync.Mutex
	flip   flip
	missed bool   // the flip before
	anew   func() // begins the watch anew
}

// flip is the newest one, and how far it has come.
type flip struct {
	seq       uint64 // 0 before the first
	healthy   bool
	at        time.Time
	judged    time.Time // when its verdict was known; zero before
	unwritten bool      // no session was held then
	published bool
	seen      bool
}

// New returns a Canary of a node; its metrics are registered with reg.
func New(node string, interval time.Duration, target Target, checks Checks, keys Keys, news News, session Session, log *zap.Logger, reg prometheus.Registerer) *Canary {
	return &Canary{node: node, interval: interval, target: target, checks: checks, keys: keys, news: news, session: session,
		log: log, metrics: newMetrics(reg), flip: flip{healthy: true}, anew: func() {}}
}

// Care puts the target under care, with the defaults of parser; Run does not. It
// is asked at least twice in the canary's interval, whatever the default is by now.
func (c *Canary) Care(parser *healthcheck.Parser) error {
	at := c.target.Addr()
	check, err := parser.Parse(map[string]string{healthcheck.LabelPrefix + "http.port": fmt.Sprint(at.Port())})
	if err != nil {
		return fmt.Errorf("making the canary's check: %w", err)
	}
	check.Interval = min(check.Interval, c.interval/2)
	for i := range check.Probes {
		check.Probes[i].Kind = ID
	}
	c.mu.Lock()
	flipped := c.flip.seq > 0
	c.mu.Unlock()
	c.checks.Set(healthcheck.Job{ID: ID, Check: check, Target: healthcheck.Target{Addr: at.Addr()}, Passed: flipped})
	return nil
}

// Run flips the target and follows its key until ctx ends, then returns nil.
func (c *Canary) Run(ctx context.Context) error {
	var following sync.WaitGroup
	defer following.Wait()
	following.Go(func() { c.follow(ctx) })
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(c.wait()):
			c.turn(time.Now())
		}
	}
}

// wait is the interval, or a tenth more or less: flips that kept step with the
// probes would always be found after the same time.
func (c *Canary) wait() time.Duration { return c.interval*9/10 + rand.N(c.interval/5) }

// follow hears of the key until ctx ends.
func (c *Canary) follow(ctx context.Context) {
	for ctx.Err() == nil {
		following, cancel := context.WithCancel(ctx)
		c.mu.Lock()
		c.anew = cancel
		c.mu.Unlock()
		_ = c.news.FollowCanary(following, c.node, func(news status.Canary) { c.heard(news, time.Now()) }) // it ends with its context
		cancel()
	}
}

// turn ends a flip and begins the next one.
func (c *Canary) turn(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.flip; f.seq > 0 {
		if !f.seen {
			c.missLocked()
		}
		c.missed = !f.seen
	}
	c.flip = flip{seq: c.flip.seq + 1, healthy: !c.flip.healthy, at: now}
	c.target.Show(c.flip.healthy)
}

// missLocked counts a flip that was not seen, and says of the first in a row
// where it stopped.
func (c *Canary) missLocked() {
	c.metrics.flips.WithLabelValues(missed).Inc()
	var where string
	switch f := c.flip; {
	case f.judged.IsZero():
		where = "no probe has found it"
	case f.unwritten:
		where = "the node's session in etcd is not held"
	case !f.published:
		where = "etcd has not taken it"
	default:
		where = "etcd's watch has told nothing of what etcd has taken"
		c.anew() // etcd may have gone back in time, of which a watch tells nothing
	}
	if !c.missed {
		c.log.Warn("the canary's flip was not seen within its interval; changes of containers may be as late",
			zap.String("because", where), zap.Uint64("seq", c.flip.seq), zap.Duration("interval", c.interval))
	}
}

// Judge takes a verdict on the target.
func (c *Canary) Judge(r healthcheck.Result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := &c.flip
	if f.seq == 0 || !f.judged.IsZero() || r.Void || r.Verdict.Pass != f.healthy || r.At.Before(f.at) {
		return
	}
	f.judged = r.At
	c.metrics.detect.Observe(f.judged.Sub(f.at).Seconds())
	lease, _ := c.session.Lease()
	if f.unwritten = lease == 0; f.unwritten {
		return
	}
	news := status.Canary{State: status.StateUnhealthy, Seq: f.seq, At: f.judged}
	if f.healthy {
		news.State = status.StateHealthy
	}
	c.keys.SetCanary(news, lease)
}

// Published says that etcd has taken what was written of flip seq.
func (c *Canary) Published(seq uint64, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := &c.flip; f.seq == seq && !f.published {
		f.published = true
		c.metrics.publish.Observe(at.Sub(f.judged).Seconds())
	}
}

// heard takes what etcd says. What an earlier agent wrote has another time.
func (c *Canary) heard(news status.Canary, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := &c.flip
	if f.seq != news.Seq || f.seen || !news.At.Equal(f.judged) {
		return
	}
	f.seen = true
	c.metrics.watch.Observe(at.Sub(f.judged).Seconds())
	c.metrics.flips.WithLabelValues(seen).Inc()
	c.metrics.last.SetToCurrentTime()
}
