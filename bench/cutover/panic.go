package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/projecteru2/eru-agent/bench/kernel"
	"github.com/projecteru2/eru-agent/bench/plan"
	"github.com/projecteru2/eru-agent/bench/report"
	"github.com/projecteru2/eru-agent/bench/stage"
	"github.com/projecteru2/eru-agent/e2e/load"
)

// alarmed is how long all containers stay unhealthy.
const alarmed = 5 * time.Second

func (b *bench) panics() []plan.Step {
	return []plan.Step{{What: "every container unhealthy at once", Takes: setUp + alarmed + 3*b.interval,
		Do: b.scene(finishing, (*stage.Node).Start, b.openHAProxy(ofHAProxy), func(ctx context.Context, s *scene) error { return s.alarm(ctx) })}}
}

// panicMetric is what to alert on.
const panicMetric = `eru_lb_service_panic{app="shop",entrypoint="web"}`

// alarm makes every probe fail at once, as one bad dependency of all would.
func (s *scene) alarm(ctx context.Context) error {
	l, v := load.Start(ctx, s.rate, s.ask), s.watch(ctx)
	defer func() { v.end(); l.Stop() }()
	if err := s.behaveAll(ctx, "sick"); err != nil {
		return err
	}
	for _, m := range s.members {
		if err := s.await(ctx, 0, m, "unhealthy"); err != nil {
			return err
		}
	}
	if err := kernel.Sleep(ctx, alarmed); err != nil {
		return err
	}
	value, err := s.lb.metric(ctx, panicMetric)
	if err != nil {
		return err
	}
	rung, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return fmt.Errorf("reading %s: %w", panicMetric, err)
	}
	v.end()
	all := l.Stop()
	s.addAlarm(all, v, rung)
	if err := s.behaveAll(ctx, "ok"); err != nil {
		return err
	}
	return stage.Within(ctx, func(ctx context.Context) error {
		return every(ctx, lookEvery, func() (bool, error) {
			value, err := s.lb.metric(ctx, panicMetric)
			return value == "0", err
		})
	})
}

func (s *scene) addAlarm(all load.Requests, v *vigil, rung float64) {
	const group = "every container unhealthy at once"
	s.add(report.Figure{Group: group, What: fmt.Sprintf("requests that failed, of some %d a second", s.rate), Of: s.of, Ours: []float64{float64(len(all.Failed()))},
		Note: fmt.Sprintf("%d requests", len(all))}.AtMost(0))
	s.add(report.Figure{Group: group, What: fmt.Sprintf("servers that still get requests, of %d", s.fleet.servers), Of: s.of, Ours: []float64{float64(v.fewest())},
		Note: "those that were in when the share was passed"})
	s.add(report.Figure{Group: group, What: "eru_lb_service_panic meanwhile", Of: s.of, Ours: []float64{rung}})
}
