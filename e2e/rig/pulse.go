package rig

import (
	"net"
	"time"
)

// pulse is when a container answers.
type pulse struct {
	count   int
	last    time.Time
	longest time.Duration // between two answers
}

func (c *Crowd) beat(conn net.Conn) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.pulses[host(conn)]
	if !p.last.IsZero() {
		p.longest = max(p.longest, now.Sub(p.last))
	}
	p.count, p.last = p.count+1, now
	c.pulses[host(conn)] = p
}

// Pulse is how many requests the container that has an address has answered since Pulse was last called, and the longest
// time without one, up to now.
func (c *Crowd) Pulse(address string) (int, time.Duration) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.pulses[address]
	if !p.last.IsZero() {
		p.longest = max(p.longest, now.Sub(p.last))
	}
	c.pulses[address] = pulse{last: now}
	return p.count, p.longest
}
