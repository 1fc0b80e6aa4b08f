package healthcheck_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/healthcheck"
)

const ms = time.Millisecond

func durations(millis ...int) []time.Duration {
	var d []time.Duration
	for _, m := range millis {
		d = append(d, time.Duration(m)*ms)
	}
	return d
}

// The first probe runs at once; until one passes, the waits grow from
// start_interval to the interval. All wake on the grid.
func TestStartIntervalGrows(t *testing.T) {
	inBubble(t, config(), passing, func(t *testing.T, b *bubble) {
		s := newScript(refuse)
		b.sleep(50 * ms)
		b.Set(healthcheck.Job{ID: "a", Check: s.check(5*time.Second, time.Second, 1)})
		b.sleep(21 * time.Second)
		want := durations(50, 200, 500, 900, 1500, 2500, 4000, 6200, 9600, 14600, 19600)
		if got := s.times(b.start); !slices.Equal(got, want) {
			t.Errorf("\ngot  %v\nwant %v", got, want)
		}
	})
}

// One that passed and fails is asked again at retry_interval, and is back on its
// own slot once it passes.
func TestRetryInterval(t *testing.T) {
	inBubble(t, config(), passing, func(t *testing.T, b *bubble) {
		s := newScript(func(ctx context.Context, n int) healthcheck.Verdict {
			if 2 <= n && n < 5 {
				return refuse(ctx, n)
			}
			return pass(ctx, n)
		})
		b.Set(healthcheck.Job{ID: "a", Check: s.check(5*time.Second, time.Second, 1)})
		b.sleep(25 * time.Second)
		times := s.times(b.start)
		gaps := make([]time.Duration, 0, len(times))
		for i := 1; i < len(times); i++ {
			gaps = append(gaps, times[i]-times[i-1])
		}
		if gaps[0] > 5*time.Second || !slices.Equal(gaps[1:5], durations(5000, 1000, 1000, 1000)) || gaps[5] > 5*time.Second || gaps[6] != 5*time.Second {
			t.Errorf("waits %v", gaps)
		}
		if slot := 5 * time.Second; times[1]%slot != times[7]%slot {
			t.Errorf("it left its slot: %v", times)
		}
	})
}

// An interval is rounded down to the grid and never exceeded, though a probe
// takes its time.
func TestIntervalIsNeverExceeded(t *testing.T) {
	for _, tt := range []struct{ grid, interval, want time.Duration }{
		{100 * ms, 1250 * ms, 1200 * ms}, {100 * ms, 100 * ms, 100 * ms}, {100 * ms, 199 * ms, 100 * ms}, {100 * ms, 7 * time.Second, 7 * time.Second},
		{500 * ms, 1250 * ms, time.Second}, {500 * ms, 400 * ms, 400 * ms}, {time.Second, time.Second, time.Second}, {50 * ms, 280 * ms, 250 * ms},
	} {
		cfg, interval, want := config(), tt.interval, tt.want
		cfg.Grid = tt.grid
		inBubble(t, cfg, passing, func(t *testing.T, b *bubble) {
			s := newScript(lasting(60 * ms))
			b.sleep(33 * ms)
			b.Set(healthcheck.Job{ID: "a", Check: s.check(interval, time.Second, 1)})
			b.sleep(20 * interval)
			times := s.times(b.start)
			for i := 2; i < len(times); i++ {
				if gap := times[i] - times[i-1]; gap != want {
					t.Errorf("grid %s, interval %s: a wait of %s, want %s", tt.grid, interval, gap, want)
				}
			}
			if len(times) < 10 || times[0] != 33*ms || times[1]-times[0] > want+60*ms {
				t.Errorf("interval %s: %v", interval, times)
			}
		})
	}
}

// slotsOf runs 1,000 containers and returns, by container, the time since start
// of its n-th probe, modulo the cycle.
func slotsOf(t *testing.T, passed bool, n int, cycle time.Duration) map[string]time.Duration {
	t.Helper()
	slots := map[string]time.Duration{}
	inBubble(t, config(), passing, func(_ *testing.T, b *bubble) {
		scripts := map[string]*script{}
		for i := range 1000 {
			id := fmt.Sprintf("%x", i*7919)
			scripts[id] = newScript(pass)
			b.Set(healthcheck.Job{ID: id, Check: scripts[id].check(5*time.Second, time.Second, 1), Passed: passed})
		}
		b.sleep(time.Duration(n+1) * 5 * time.Second)
		for id, s := range scripts {
			slots[id] = s.times(b.start)[n] % cycle
		}
	})
	return slots
}

func spread(t *testing.T, slots map[string]time.Duration, number, least, most int) {
	t.Helper()
	count := map[time.Duration]int{}
	for id, at := range slots {
		if at%healthcheck.DefaultGrid != 0 {
			t.Errorf("%s is probed at %s, off the grid", id, at)
		}
		count[at]++
	}
	if len(count) != number {
		t.Errorf("%d slots in use, want %d", len(count), number)
	}
	for at, n := range count {
		if n < least || n > most {
			t.Errorf("%d containers at %s, want %d to %d", n, at, least, most)
		}
	}
}

func TestPhasesAreStableAndEven(t *testing.T) {
	first, second := slotsOf(t, false, 2, 5*time.Second), slotsOf(t, true, 3, 5*time.Second)
	for id, at := range first {
		if second[id] != at {
			t.Fatalf("%s is probed at %s by one runner and at %s by another", id, at, second[id])
		}
	}
	spread(t, first, 50, 5, 40)
}

// What an agent takes over is verified within half a second, and not in one bunch.
func TestAdoptedAreVerifiedSoon(t *testing.T) {
	slots := slotsOf(t, true, 0, time.Hour)
	for id, at := range slots {
		if at > 500*ms {
			t.Errorf("%s is first probed after %s", id, at)
		}
	}
	spread(t, slots, 5, 140, 260)
}

func TestAdoptedThatFailsIsRetriedLikeOneThatPassed(t *testing.T) {
	inBubble(t, config(), passing, func(t *testing.T, b *bubble) {
		s := newScript(refuse)
		b.Set(healthcheck.Job{ID: "a", Check: s.check(5*time.Second, time.Second, 1), Passed: true})
		b.sleep(5 * time.Second)
		if times := s.times(b.start); len(times) < 4 || times[2]-times[1] != time.Second {
			t.Errorf("%v", times)
		}
	})
}

func TestProbesOfOneContainerNeverOverlap(t *testing.T) {
	inBubble(t, config(), passing, func(t *testing.T, b *bubble) {
		s := newScript(lasting(2500 * ms))
		b.Set(healthcheck.Job{ID: "a", Check: s.check(time.Second, 10*time.Second, 1)})
		b.sleep(30 * time.Second)
		if s.most != 1 || len(s.asked) < 9 {
			t.Errorf("%d at once, %d in all", s.most, len(s.asked))
		}
	})
}

// A new life cuts off the probe of the old one, and begins at once.
func TestNewLifeEndsTheOld(t *testing.T) {
	inBubble(t, config(), passing, func(t *testing.T, b *bubble) {
		old, young := newScript(hang), newScript(pass)
		b.Set(healthcheck.Job{ID: "a", Epoch: 1, Check: old.check(5*time.Second, 4*time.Second, 2)})
		b.sleep(300 * ms)
		b.Set(healthcheck.Job{ID: "a", Epoch: 2, Check: young.check(5*time.Second, 4*time.Second, 1)})
		b.sleep(time.Minute)
		if old.cutOff != 2 || len(old.asked) != 2 {
			t.Errorf("of the old life %d were cut off and %d made, want 2 and 2", old.cutOff, len(old.asked))
		}
		if times := young.times(b.start); times[0] != 300*ms {
			t.Errorf("the new life was first probed at %s", times[0])
		}
		for _, res := range b.got() {
			if res.Epoch != 2 {
				t.Errorf("a verdict of the old life came out: %+v", res)
			}
		}
	})
}

func TestRemove(t *testing.T) {
	inBubble(t, config(), passing, func(t *testing.T, b *bubble) {
		under, waiting := newScript(hang), newScript(pass)
		b.Set(healthcheck.Job{ID: "a", Check: under.check(time.Second, time.Second, 1)})
		b.Set(healthcheck.Job{ID: "b", Check: waiting.check(5*time.Second, time.Second, 1)})
		b.sleep(50 * ms)
		for _, id := range []string{"a", "b", "c"} {
			b.Remove(id)
		}
		b.sleep(time.Minute)
		if len(under.asked) != 1 || len(waiting.asked) != 1 || under.cutOff != 1 {
			t.Errorf("%d and %d probes, %d cut off; want 1 each", len(under.asked), len(waiting.asked), under.cutOff)
		}
		if got := b.got(); len(got) != 1 || got[0].ID != "b" {
			t.Errorf("%+v", got)
		}
	})
}

func TestConcurrencyIsBounded(t *testing.T) {
	cfg := config()
	cfg.Concurrency = 10
	inBubble(t, cfg, passing, func(t *testing.T, b *bubble) {
		s := newScript(hang)
		for i := range 50 {
			b.Set(healthcheck.Job{ID: fmt.Sprint(i), Check: s.check(time.Second, time.Second, 3)})
		}
		b.sleep(30 * time.Second)
		// All ports of one container start together.
		if s.most > 12 || s.most < 10 {
			t.Errorf("%d at once, want 10 to 12", s.most)
		}
		// 10 containers a second would be 4 at a time, so that each has its turn.
		byID := map[string]int{}
		for _, res := range b.got() {
			byID[res.ID]++
		}
		if len(byID) != 50 {
			t.Errorf("%d of 50 containers had a turn", len(byID))
		}
	})
}

// Containers that hang take slots, but while there are slots nobody waits for
// them.
func TestHungContainersDoNotDelayOthers(t *testing.T) {
	inBubble(t, config(), passing, func(t *testing.T, b *bubble) {
		good := make([]*script, 100)
		for i := range good {
			good[i] = newScript(pass)
			b.Set(healthcheck.Job{ID: fmt.Sprint("good", i), Check: good[i].check(time.Second, 2*time.Second, 1)})
			b.Set(healthcheck.Job{ID: fmt.Sprint("hung", i), Check: newScript(hang).check(time.Second, 2*time.Second, 1)})
		}
		b.sleep(20 * time.Second)
		for i, s := range good {
			times := s.times(b.start)
			for j := 2; j < len(times); j++ {
				if gap := times[j] - times[j-1]; gap != time.Second {
					t.Fatalf("good%d waited %s", i, gap)
				}
			}
		}
	})
}

// With all slots taken, those that wait go in the order in which they were due.
func TestWaitingForASlotIsFair(t *testing.T) {
	cfg := config()
	cfg.Concurrency = 1
	inBubble(t, cfg, passing, func(t *testing.T, b *bubble) {
		s := newScript(lasting(300 * ms))
		b.Set(healthcheck.Job{ID: "a", Check: s.check(time.Second, time.Second, 1)})
		for _, id := range []string{"b", "c", "d"} {
			b.sleep(10 * ms)
			b.Set(healthcheck.Job{ID: id, Check: s.check(time.Second, time.Second, 1)})
		}
		b.sleep(1300 * ms)
		var order []string
		for _, res := range b.got() {
			order = append(order, res.ID)
		}
		if want := []string{"a", "b", "c", "d"}; !slices.Equal(order[:min(4, len(order))], want) {
			t.Errorf("%v, want %v", order, want)
		}
	})
}

// A reader that is slow delays probes, but gets the verdicts of one container
// in their order.
func TestResultsAreInOrder(t *testing.T) {
	inBubble(t, config(), passing, func(t *testing.T, b *bubble) {
		for _, id := range []string{"a", "b", "c"} {
			s := newScript(func(_ context.Context, n int) healthcheck.Verdict {
				return healthcheck.Verdict{Pass: true, Detail: fmt.Sprintf("%05d", n)}
			})
			b.Set(healthcheck.Job{ID: id, Check: s.check(100*ms, time.Second, 1)})
		}
		b.halt <- struct{}{}
		sleep(5 * time.Second)
		b.halt <- struct{}{}
		b.sleep(5 * time.Second)
		last := map[string]string{}
		for _, res := range b.got() {
			if res.Verdict.Detail <= last[res.ID] {
				t.Errorf("%s of %s after %s", res.Verdict.Detail, res.ID, last[res.ID])
			}
			last[res.ID] = res.Verdict.Detail
		}
	})
}

// Run waits for what is under way, even for a prober that is slow to notice,
// and gives no verdict that its own end brought about.
func TestShutdownWaits(t *testing.T) {
	inBubble(t, config(), passing, func(t *testing.T, b *bubble) {
		var ended time.Time
		s := newScript(func(ctx context.Context, n int) healthcheck.Verdict {
			v := hang(ctx, n)
			sleep(3 * time.Second)
			ended = time.Now()
			return v
		})
		b.Set(healthcheck.Job{ID: "a", Check: s.check(time.Second, 30*time.Second, 1)})
		b.sleep(time.Second)
		b.stop()
		if ended.IsZero() {
			t.Error("Run returned before its probe")
		}
		if got := b.got(); len(got) != 0 {
			t.Errorf("%+v", got)
		}
	})
}

func TestStopWhileNobodyReads(t *testing.T) {
	inBubble(t, config(), passing, func(t *testing.T, b *bubble) {
		for i := range 300 {
			b.Set(healthcheck.Job{ID: fmt.Sprint(i), Check: newScript(pass).check(time.Second, time.Second, 1)})
		}
		b.halt <- struct{}{}
		sleep(time.Second)
		b.cancel()
		sleep(time.Second)
		b.halt <- struct{}{}
		b.stop()
	})
}

// Restarts of containers and of the agent's interest in them leave nothing
// behind: synctest fails when a goroutine stays.
func TestChurn(t *testing.T) {
	inBubble(t, config(), passing, func(t *testing.T, b *bubble) {
		s := newScript(func(ctx context.Context, n int) healthcheck.Verdict {
			return []func(context.Context, int) healthcheck.Verdict{pass, refuse, hang, lasting(130 * ms)}[n%4](ctx, n)
		})
		for i := range 2000 {
			id := fmt.Sprint(i % 37)
			if i%5 == 0 {
				b.Remove(id)
			} else {
				b.Set(healthcheck.Job{ID: id, Epoch: uint64(i), Check: s.check(200*ms, 300*ms, 1+i%3)})
			}
			sleep(time.Duration(i%7) * 10 * ms)
		}
		for i := range 37 {
			b.Remove(fmt.Sprint(i))
		}
		b.sleep(time.Second)
		if s.under != 0 {
			t.Errorf("%d probes are still under way", s.under)
		}
		after := len(s.times(b.start))
		fresh := newScript(pass)
		b.Set(healthcheck.Job{ID: "fresh", Check: fresh.check(time.Second, time.Second, 1)})
		b.sleep(time.Minute)
		if n := len(fresh.times(b.start)); n < 60 || len(s.times(b.start)) != after {
			t.Errorf("%d probes of the one that is left, %d of others", n, len(s.times(b.start))-after)
		}
	})
}
