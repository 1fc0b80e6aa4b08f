package probecost

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/projecteru2/eru-agent/healthcheck"
)

// count is what a method made.
type count struct{ passed, failed atomic.Int64 }

func (c *count) add(pass bool) {
	if pass {
		c.passed.Add(1)
	} else {
		c.failed.Add(1)
	}
}

// runAgent probes as the agent does.
func runAgent(ctx context.Context, l load) error {
	cfg := healthcheck.Config{
		Interval: l.interval, Timeout: timeout, StartInterval: healthcheck.Grid, RetryInterval: healthcheck.Grid,
		MinInterval: healthcheck.Grid, Concurrency: 256,
	}
	runner := healthcheck.NewRunner(cfg, healthcheck.LoopbackControl, healthcheck.NewMetrics(prometheus.NewRegistry()))
	parser := healthcheck.NewParser(cfg)
	label := map[string]string{"http": "eru.health.http.port", "tcp": "eru.health.tcp.ports"}[l.kind]
	for i, port := range l.ports {
		check, err := parser.Parse(map[string]string{label: strconv.Itoa(int(port))})
		if err != nil {
			return err
		}
		runner.Set(healthcheck.Job{
			ID: fmt.Sprintf("%064x", i), Check: check, Passed: true,
			Target: healthcheck.Target{Addr: netip.AddrFrom4([4]byte{127, 0, 0, 1})},
		})
	}
	var reader sync.WaitGroup
	defer reader.Wait()
	reader.Go(func() {
		for {
			select {
			case res := <-runner.Results():
				l.counted.add(res.Verdict.Pass)
			case <-ctx.Done():
				return
			}
		}
	})
	return runner.Run(ctx)
}
