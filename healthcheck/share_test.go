package healthcheck_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/projecteru2/eru-agent/healthcheck"
)

// greedy puts containers under care that ask for as much as labels may, and
// whose probes hang as long as labels may let them.
func greedy(b *bubble, number int) *script {
	s := newScript(hang)
	for i := range number {
		b.Set(healthcheck.Job{ID: fmt.Sprint("greedy", i), Check: s.check(100*ms, healthcheck.MaxTimeout, 1+healthcheck.MaxPorts)})
	}
	return s
}

// neighbours puts healthy containers under care.
func neighbours(b *bubble, number int) []*script {
	all := make([]*script, number)
	for i := range all {
		all[i] = newScript(pass)
		b.Set(healthcheck.Job{ID: fmt.Sprint("good", i), Check: all[i].check(time.Second, 2*time.Second, 1)})
	}
	return all
}

// longestWait is the longest time from one probe to the next.
func longestWait(b *bubble, all []*script) time.Duration {
	var longest time.Duration
	for _, s := range all {
		times := s.times(b.start)
		last := time.Duration(0)
		for _, at := range append(times, time.Since(b.start)) {
			longest, last = max(longest, at-last), at
		}
	}
	return longest
}

func TestGreedyContainersDoNotDelayOthers(t *testing.T) {
	inBubble(t, config(), passing, func(t *testing.T, b *bubble) {
		s := greedy(b, 31) // times 8 is less than 256
		good := neighbours(b, 100)
		b.sleep(time.Minute)
		if wait := longestWait(b, good); wait > time.Second {
			t.Errorf("a neighbour waited %s", wait)
		}
		if s.most != 31*8 {
			t.Errorf("%d probes at once, want 8 of each container", s.most)
		}
	})
}

// Where slots do run out, a container waits once for each that was due before
// it: here 6 greedy ones, of which 2 go at a time.
func TestWaitForASlotIsBounded(t *testing.T) {
	cfg := config()
	cfg.Concurrency = 16
	inBubble(t, cfg, passing, func(t *testing.T, b *bubble) {
		greedy(b, 6)
		good := neighbours(b, 20)
		b.sleep(5 * time.Minute)
		if wait := longestWait(b, good); wait > 3*healthcheck.MaxTimeout+time.Second {
			t.Errorf("a neighbour waited %s", wait)
		}
	})
}

func TestEveryPortHasItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, start := newScript(lasting(100*ms)), time.Now()
		v := s.check(time.Second, time.Second, 32).Ask(t.Context(), healthcheck.Target{}, nil)
		if took := time.Since(start); !v.Pass || took != 400*ms || len(s.asked) != 32 || s.most != 8 {
			t.Errorf("%+v after %s, %d asked, %d at once", v, took, len(s.asked), s.most)
		}
	})
}

// The timeout holds for all ports together, and one that had no turn is not
// asked when the time is over.
func TestTimeoutHoldsForAllPorts(t *testing.T) {
	inBubble(t, config(), passing, func(t *testing.T, b *bubble) {
		s := newScript(hang)
		b.Set(healthcheck.Job{ID: "a", Check: s.check(5*time.Second, 2*time.Second, 20)})
		b.sleep(2100 * ms)
		got := b.got()
		if len(got) != 1 || got[0].Void || got[0].Verdict.Reason != healthcheck.ReasonTimeout || len(s.asked) != 8 {
			t.Errorf("%d asked, %+v", len(s.asked), got)
		}
	})
}
