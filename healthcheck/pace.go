package healthcheck

import (
	"hash/fnv"
	"time"
)

// The steps of the grid that may be asked for. Shorter ones save no wake-up.
const (
	MinGrid     = 10 * time.Millisecond
	MaxGrid     = time.Second
	DefaultGrid = 100 * time.Millisecond
)

// adoptWithin bounds the first probe of a container that was known before: an
// agent that starts verifies its node within it, spread and not in one bunch.
const adoptWithin = 500 * time.Millisecond

// grid is the step on which probes wake: waking costs more than probing, and a
// common step lets many probes share one (measured per HTTP probe, 200
// containers at 1 s: 502 us of CPU with a timer each, 183 us on the grid).
type grid time.Duration

// step is what a wait of this length is rounded to: one that is shorter than a
// step of the grid is kept.
func (g grid) step(wait time.Duration) time.Duration { return min(time.Duration(g), wait) }

// length is a wait as a whole number of steps.
func (g grid) length(wait time.Duration) time.Duration { return wait.Truncate(g.step(wait)) }

// after is when a wait that begins now is over. It never lasts longer.
func (g grid) after(now, wait time.Duration) time.Duration {
	return (now + wait).Truncate(g.step(wait))
}

// pace decides when a container is probed next.
type pace struct {
	grid     grid
	phase    uint64        // stable hash of the container ID
	interval time.Duration // a whole number of steps
	start    time.Duration
	retry    time.Duration
	passed   bool          // has passed in this life
	wait     time.Duration // last wait before the first pass
}

func newPace(id string, check Check, cfg Config, passed bool) pace {
	h := fnv.New64a()
	_, _ = h.Write([]byte(id))
	g := grid(cfg.Grid)
	interval := g.length(check.Interval)
	return pace{
		grid: g, phase: h.Sum64(), interval: interval, passed: passed,
		start: min(g.length(cfg.StartInterval), interval), retry: min(g.length(cfg.RetryInterval), interval),
	}
}

// first is when a container that was just put under care is probed; now and
// the result are times since the runner's start. A new one is probed at once.
func (p *pace) first(now time.Duration) time.Duration {
	if !p.passed {
		return now
	}
	return p.slot(now, min(p.interval, p.grid.length(adoptWithin)))
}

// next is when it is probed after a verdict. Every wait is rounded down to the
// grid, so that a configured interval is never exceeded.
func (p *pace) next(now time.Duration, pass bool) time.Duration {
	switch {
	case pass:
		p.passed = true
		return p.slot(now, p.interval)
	case p.passed:
		return p.grid.after(now, p.retry)
	case p.wait == 0:
		p.wait = p.start
	default:
		p.wait = min(p.wait*3/2, p.interval)
	}
	return p.grid.after(now, p.wait)
}

// slot is the container's own place in a cycle of the given length, the first
// one after now.
func (p *pace) slot(now, cycle time.Duration) time.Duration {
	step := p.grid.step(cycle)
	offset := time.Duration(p.phase%uint64(cycle/step)) * step
	if now < offset {
		return offset
	}
	return offset + ((now-offset)/cycle+1)*cycle
}
