package yardstick

import (
	"context"
	"sync"
	"time"
)

// schedule says when which target is to be probed: evenly spread over the
// interval, each start rounded down to the grid.
type schedule struct {
	start    time.Time
	interval time.Duration
	grid     time.Duration
	targets  int
	made     int // how many are behind us
}

func newSchedule(s Spec, grid time.Duration) *schedule {
	return &schedule{start: time.Now(), interval: s.Interval, grid: grid, targets: s.Targets}
}

// due is when the next one is.
func (s *schedule) due() time.Time {
	cycle, i := s.made/s.targets, s.made%s.targets
	phase := s.interval * time.Duration(i) / time.Duration(s.targets)
	return s.start.Add(time.Duration(cycle)*s.interval + phase.Truncate(s.grid))
}

// take is the next target, if it is due.
func (s *schedule) take(now time.Time) (int, bool) {
	if s.due().After(now) {
		return 0, false
	}
	i := s.made % s.targets
	s.made++
	return i, true
}

// onTimers gives each target a goroutine and a timer of its own.
func onTimers(ctx context.Context, s Spec, ask func(i int)) {
	var all sync.WaitGroup
	defer all.Wait()
	for i := range s.Targets {
		phase := s.Interval * time.Duration(i) / time.Duration(s.Targets)
		all.Go(func() {
			timer := time.NewTimer(phase)
			defer timer.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-timer.C:
					timer.Reset(s.Interval)
					ask(i)
				}
			}
		})
	}
}

// onGrid wakes once for all targets of a step of the grid, and asks each in a
// goroutine.
func onGrid(ctx context.Context, s Spec, ask func(i int)) {
	var all sync.WaitGroup
	defer all.Wait()
	plan := newSchedule(s, Grid)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-timer.C:
			for i, ok := plan.take(now); ok; i, ok = plan.take(now) {
				all.Go(func() { ask(i) })
			}
			timer.Reset(time.Until(plan.due()))
		}
	}
}
