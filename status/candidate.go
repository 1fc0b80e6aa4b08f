package status

import (
	"cmp"
	"net/netip"
	"strings"
	"time"
)

// fitness is what a container's status says about sending it requests.
type fitness int

const (
	out      fitness = iota // it shall get none: starting, draining, paused
	stopped                 // it has no process, or its node is gone
	doubtful                // it runs, and has passed in this life, and does not now
	serving                 // it is healthy
)

// candidate is a container of a service, and what became of it so far.
type candidate struct {
	entry Entry
	in    bool // it is of the last set
	left  bool // it was of a set before, and then was not
	// passed says that it was healthy before in this life.
	passed bool
	// since is when it was seen to become healthy; zero while it is not.
	since time.Time
	use   Use
}

// take brings c to a newer status.
func (c *candidate) take(e Entry, now time.Time) {
	if !c.entry.Status.Started.Equal(e.Status.Started) { // another life
		c.passed, c.since = false, time.Time{}
		if !e.Status.Healthy {
			c.leave()
		}
	}
	c.entry = e
	switch {
	case !e.Status.Healthy:
		c.since = time.Time{}
		// The agent calls unhealthy what has passed before.
		c.passed = c.passed || e.Status.State == StateUnhealthy
	case c.since.IsZero():
		c.passed, c.since = true, now
	}
}

func (c *candidate) leave() { c.in, c.left = false, c.left || c.in }

// heldUntil is when c may be let in. Only one that has left is held, from when it
// was seen to become healthy.
func (c *candidate) heldUntil(hold time.Duration) time.Time {
	if c.in || !c.left {
		return c.since
	}
	return c.since.Add(hold)
}

func (c *candidate) fitness() fitness {
	st := c.entry.Status
	switch {
	case st.Healthy:
		return serving
	case !st.Running, st.State == StateStopped, st.State == StateLost:
		return stopped
	case st.State == StateStarting, st.State == StateDraining, st.State == StatePaused, !c.passed:
		return out
	default:
		return doubtful
	}
}

// living says that the container has a process, and so has its addresses for
// itself.
func (c *candidate) living() bool {
	return c.entry.Status.Running && c.fitness() != stopped
}

// addresses are what can be dialled of the container.
func (c *candidate) addresses() []netip.AddrPort {
	list := make([]netip.AddrPort, 0, len(c.entry.Status.Endpoints))
	for _, s := range c.entry.Status.Endpoints {
		if a, err := parseAddress(s); err == nil { // it was read before
			list = append(list, a)
		}
	}
	return list
}

// byPlace orders containers of one service.
func byPlace(c *candidate, k Key) int {
	return cmp.Or(strings.Compare(c.entry.Key.Node, k.Node), strings.Compare(c.entry.Key.ID, k.ID))
}
