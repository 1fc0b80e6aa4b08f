package healthcheck

import (
	"context"
	"time"
)

// grace is how long probes that are under way when one of them fails may still
// fail themselves. It lets the same failures give the same verdict each time,
// whichever came first.
const grace = 5 * time.Millisecond

// maxAtOnce bounds the probes of one container that are under way at once, so
// that a few containers cannot hold every slot of their node.
const maxAtOnce = 8

// share is how many slots an attempt takes, from its start to its end.
func (c Check) share() int { return min(len(c.Probes)*c.vantages(), maxAtOnce) }

// Ask asks the probes of the check side by side, at most 8 at once and in the
// order of the check. It returns the first one in that order that failed, soon
// after any did; else the slowest pass. ctx bounds all of it; its deadline is
// the timeout. observe, if not nil, is told each verdict, from several
// goroutines.
func (c Check) Ask(ctx context.Context, t Target, observe func(kind string, v Verdict)) Verdict {
	if ctx.Err() != nil { // held back until the time was over: nothing was asked
		return Fail(ReasonAgent, "the time was over before the container was asked")
	}
	if len(c.Probes) == 1 {
		return c.Probes[0].ask(ctx, c.Via, t, observe)
	}
	asking, cancel := context.WithCancel(ctx)
	defer cancel()
	verdicts, answers := c.start(asking, t, observe)
	worst := -1
	for range c.Probes {
		i := <-answers
		if worst >= 0 && !verdicts[worst].Pass && asking.Err() != nil && ctx.Err() == nil {
			continue // it was cut off
		}
		if worst < 0 || verdicts[i].worse(verdicts[worst], i < worst) {
			worst = i
		}
		if !verdicts[i].Pass {
			time.AfterFunc(grace, cancel)
		}
	}
	if worst < 0 {
		return Verdict{Pass: true}
	}
	return verdicts[worst]
}

// start asks all probes; each verdict may be read once its index has come.
func (c Check) start(ctx context.Context, t Target, observe func(string, Verdict)) ([]Verdict, <-chan int) {
	verdicts := make([]Verdict, len(c.Probes))
	answers := make(chan int, len(c.Probes))
	next := make(chan int, len(c.Probes))
	for i := range c.Probes {
		next <- i
	}
	close(next)
	for range c.share() / c.vantages() {
		go func() {
			for i := range next {
				verdicts[i] = c.Probes[i].ask(ctx, c.Via, t, observe)
				answers <- i
			}
		}()
	}
	return verdicts, answers
}

// worse says whether v takes the place of other as the word on all probes;
// before is that it stands first in the check.
func (v Verdict) worse(other Verdict, before bool) bool {
	switch {
	case v.Pass != other.Pass:
		return other.Pass
	case v.Pass:
		return v.Timings.Total >= other.Timings.Total
	default:
		return before
	}
}

func (p Probe) ask(ctx context.Context, via Via, t Target, observe func(string, Verdict)) Verdict {
	if err := ctx.Err(); err != nil {
		v := FailFrom("waiting for the container's other probes", err)
		v.Probe = p.Name
		return v
	}
	start := time.Now()
	v := p.run(ctx, via, t)
	v.Probe = p.Name
	if v.Timings.Total == 0 {
		v.Timings.Total = time.Since(start)
	}
	if observe != nil && ctx.Err() != context.Canceled {
		observe(p.Kind, v)
	}
	return v
}
