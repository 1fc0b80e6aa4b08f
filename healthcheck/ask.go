package healthcheck

import (
	"context"
	"time"
)

// Ask asks all probes of the check side by side and returns the first failure,
// or the slowest pass. ctx bounds it; its deadline is the timeout. observe, if
// not nil, is told each verdict, from several goroutines.
func (c Check) Ask(ctx context.Context, t Target, observe func(kind string, v Verdict)) Verdict {
	if len(c.Probes) == 1 {
		return c.Probes[0].ask(ctx, t, observe)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	verdicts := make(chan Verdict, len(c.Probes))
	for _, p := range c.Probes {
		go func() { verdicts <- p.ask(ctx, t, observe) }()
	}
	worst := Verdict{Pass: true}
	for range c.Probes {
		v := <-verdicts
		switch {
		case worst.Pass && !v.Pass:
			worst = v
			cancel() // the rest only has to end
		case worst.Pass && v.Timings.Total >= worst.Timings.Total:
			worst = v
		}
	}
	return worst
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
