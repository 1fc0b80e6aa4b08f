package xds

import (
	"context"
	"time"

	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"go.uber.org/zap"

	"github.com/projecteru2/eru-agent/status"
)

// changes are those that clients have yet to take, in the order of their
// versions. clients.mu guards them.
type changes struct {
	within    time.Duration
	list      []*change
	confirmed chan []*status.Service
	begun     chan struct{} // there is one to wait for again
}

// change is what one Apply changed.
type change struct {
	version  uint64
	changed  map[string]types.Resource
	services []*status.Service
	until    time.Time
	waiting  map[*client]bool
}

func newChanges(within time.Duration) changes {
	return changes{within: within, confirmed: make(chan []*status.Service, 1), begun: make(chan struct{}, 1)}
}

// changed waits for those who follow what was changed.
func (c *clients) changed(version uint64, changed map[string]types.Resource, services []*status.Service) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch := &change{version: version, changed: changed, services: services, until: time.Now().Add(c.changes.within), waiting: map[*client]bool{}}
	for _, cl := range c.streams {
		if !cl.late && cl.owes(ch) {
			ch.waiting[cl] = true
		}
	}
	c.changes.list = append(c.changes.list, ch)
	if len(c.changes.list) == 1 {
		select {
		case c.changes.begun <- struct{}{}:
		default:
		}
	}
	c.changes.settle()
}

// review no longer waits for what a client has taken, or does not follow.
func (c *changes) review(cl *client) {
	for _, ch := range c.list {
		if ch.waiting[cl] && !cl.owes(ch) {
			delete(ch.waiting, cl)
		}
	}
	c.settle()
}

// forget no longer waits for a client.
func (c *changes) forget(cl *client) {
	for _, ch := range c.list {
		delete(ch.waiting, cl)
	}
	c.settle()
}

// settle confirms the changes that nobody is waited for, up to the first one
// that somebody is.
func (c *changes) settle() {
	n := 0
	for n < len(c.list) && len(c.list[n].waiting) == 0 {
		n++
	}
	if n == 0 {
		return
	}
	select {
	case <-c.confirmed: // nobody came for an older one
	default:
	}
	c.confirmed <- c.list[n-1].services
	clear(c.list[:n])
	c.list = c.list[n:]
}

// run ends the waiting that takes too long, until ctx ends.
func (c *clients) run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.changes.begun:
		case <-timer.C:
		}
		if next := c.giveUp(time.Now()); next > 0 {
			timer.Reset(next)
		} else {
			timer.Stop()
		}
	}
}

// giveUp leaves those behind who should have taken a change by now, and returns
// when to look again; 0 is when there is something new.
func (c *clients) giveUp(now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.changes.list) > 0 {
		first := c.changes.list[0]
		if left := first.until.Sub(now); left > 0 {
			return left
		}
		for cl := range first.waiting {
			cl.late = true
			c.counts.unconfirmed.Inc()
			c.log.Warn("a client has not confirmed a change in time, and is not waited for until it does",
				zap.String("client", cl.node), zap.String("address", cl.address), zap.Duration("within", c.changes.within))
			c.changes.forget(cl)
		}
	}
	return 0
}
