package dockertest

import (
	"net/http"
	"time"
)

// lag is what the list still shows of a container that died.
type lag struct {
	shown   state
	until   time.Time // Zero: until settled.
	settled chan struct{}
}

// listed is the state that the list shows: the truth, or what was true before a die that the list has not learned of.
func (c *container) listed(now time.Time) state {
	if c.lagging.active(now) {
		return c.lagging.shown
	}
	return c.state
}

// lagBehind makes the list go on showing the container as it is now.
func (c *container) lagBehind(d time.Duration) {
	if d == 0 {
		return
	}
	c.lagging = &lag{shown: c.state, settled: make(chan struct{})}
	if d > 0 {
		c.lagging.until = time.Now().Add(d)
	}
}

func (c *container) settle() {
	if c.lagging != nil {
		close(c.lagging.settled)
		c.lagging = nil
	}
}

// Settle ends the DeathLag of a container, or of all containers if ref is "".
func (s *Server) Settle(ref string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.containers {
		if ref == "" || c.id == ref || c.name == ref {
			c.settle()
		}
	}
}
func (l *lag) active(now time.Time) bool {
	return l != nil && (l.until.IsZero() || now.Before(l.until))
}

// await reports whether the lag ended before the client went.
func (l *lag) await(r *http.Request) bool {
	var expired <-chan time.Time
	if !l.until.IsZero() {
		timer := time.NewTimer(time.Until(l.until))
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case <-l.settled:
	case <-expired:
	case <-r.Context().Done():
		return false
	}
	return true
}
