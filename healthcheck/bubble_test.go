package healthcheck_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/projecteru2/eru-agent/healthcheck"
)

// bubble is a Runner in a synctest bubble, with all that came out of it. Its
// times count from its start.
type bubble struct {
	*healthcheck.Runner
	start  time.Time
	cancel context.CancelFunc
	all    sync.WaitGroup
	halt   chan struct{} // sent to once, it stops the reader, twice, it goes on

	mu      sync.Mutex
	results []healthcheck.Result
}

func passing(context.Context, time.Duration) healthcheck.Verdict {
	return healthcheck.Verdict{Pass: true}
}

// inBubble runs test with a Runner, and sees to it that the Runner ends.
func inBubble(t *testing.T, cfg healthcheck.Config, control healthcheck.Control, test func(t *testing.T, b *bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		b := &bubble{Runner: healthcheck.NewRunner(cfg, control, newMetrics()), start: time.Now(), cancel: cancel, halt: make(chan struct{})}
		ended := make(chan struct{})
		b.all.Go(func() {
			defer close(ended)
			if err := b.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		b.all.Go(func() {
			for {
				select {
				case res := <-b.Results():
					b.mu.Lock()
					b.results = append(b.results, res)
					b.mu.Unlock()
				case <-b.halt:
					<-b.halt
				case <-ended:
					return
				}
			}
		})
		test(t, b)
		b.stop()
	})
}

func (b *bubble) stop() {
	b.cancel()
	b.all.Wait()
}

// sleep lets the bubble's clock run.
func (b *bubble) sleep(d time.Duration) {
	sleep(d)
	synctest.Wait()
}

// sleep is for use in a bubble only.
func sleep(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // it is the bubble's clock that runs
}

func (b *bubble) got() []healthcheck.Result {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]healthcheck.Result(nil), b.results...)
}

// script is a fake prober: it notes when it is asked, and answers what it was
// told to. Its times count from the bubble's start.
type script struct {
	answer func(ctx context.Context, n int) healthcheck.Verdict // n counts from 0

	mu     sync.Mutex
	asked  []time.Time
	under  int
	most   int // under way at once
	cutOff int // ended by cancel
}

func newScript(answer func(ctx context.Context, n int) healthcheck.Verdict) *script {
	return &script{answer: answer}
}

func (s *script) run(ctx context.Context, _ healthcheck.Target) healthcheck.Verdict {
	s.mu.Lock()
	n := len(s.asked)
	s.asked = append(s.asked, time.Now())
	s.under++
	s.most = max(s.most, s.under)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.under--
		if errors.Is(ctx.Err(), context.Canceled) {
			s.cutOff++
		}
	}()
	return s.answer(ctx, n)
}

// check asks the script, as often as it has names.
func (s *script) check(interval, timeout time.Duration, probes int) healthcheck.Check {
	c := healthcheck.Check{Interval: interval, Timeout: timeout}
	for range probes {
		c.Probes = append(c.Probes, healthcheck.Probe{Kind: "fake", Name: "fake :1", Run: s.run})
	}
	return c
}

// times are when it was asked, since start.
func (s *script) times(start time.Time) []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	var times []time.Duration
	for _, at := range s.asked {
		times = append(times, at.Sub(start))
	}
	return times
}

func pass(context.Context, int) healthcheck.Verdict { return healthcheck.Verdict{Pass: true} }

func refuse(context.Context, int) healthcheck.Verdict {
	return healthcheck.Fail(healthcheck.ReasonRefused, "connecting: connection refused")
}

// hang answers when its context ends, as a probe of a container that hangs.
func hang(ctx context.Context, _ int) healthcheck.Verdict {
	<-ctx.Done()
	return healthcheck.FailFrom("connecting", ctx.Err())
}

// lasting passes after a while.
func lasting(d time.Duration) func(context.Context, int) healthcheck.Verdict {
	return func(ctx context.Context, _ int) healthcheck.Verdict {
		select {
		case <-ctx.Done():
			return healthcheck.FailFrom("connecting", ctx.Err())
		case <-time.After(d):
			return healthcheck.Verdict{Pass: true}
		}
	}
}
