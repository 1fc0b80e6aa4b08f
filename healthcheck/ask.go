package healthcheck

import (
	"context"
	"time"
)

// grace is how long probes that are under way when one of them fails may still
// fail themselves. It lets the same failures give the same verdict each time,
// whichever came first.
const grace = 5 * time.Millisecond

// Ask asks all probes of the check side by side. It returns the first one in
// the order of the check that failed, soon after any did; else the slowest pass.
// ctx bounds it; its deadline is the timeout. observe, if not nil, is told each
// verdict, from several goroutines.
func (c Check) Ask(ctx context.Context, t Target, observe func(kind string, v Verdict)) Verdict {
	if len(c.Probes) == 1 {
		return c.Probes[0].ask(ctx, t, observe)
	}
	asking, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan int, len(c.Probes))
	verdicts := make([]Verdict, len(c.Probes))
	for i, p := range c.Probes {
		go func() {
			verdicts[i] = p.ask(asking, t, observe)
			answers <- i
		}()
	}
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

func (p Probe) ask(ctx context.Context, t Target, observe func(string, Verdict)) Verdict {
	start := time.Now()
	v := p.Run(ctx, t)
	v.Probe, v.Timings.Total = p.Name, time.Since(start)
	if observe != nil && ctx.Err() != context.Canceled {
		observe(p.Kind, v)
	}
	return v
}
