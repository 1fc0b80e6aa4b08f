package healthcheck_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/projecteru2/eru-agent/healthcheck"
)

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		r := healthcheck.NewRunner(config(), tooSlow, healthcheck.NewMetrics(reg))
		ended := make(chan error)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { ended <- r.Run(ctx) }()
		r.Set(healthcheck.Job{ID: "good", Check: newScript(lasting(20*ms)).check(time.Hour, time.Second, 2)})
		r.Set(healthcheck.Job{ID: "bad", Check: newScript(hang).check(time.Hour, time.Second, 1)})
		r.Set(healthcheck.Job{ID: "gone", Check: newScript(hang).check(time.Hour, 2*time.Second, 1)})
		<-r.Results()
		<-r.Results()
		r.Remove("gone")
		r.Remove("bad")
		synctest.Wait()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		const want = `
# HELP eru_agent_probes_total Probes made, by kind and by result: pass, or the reason of the failure.
# TYPE eru_agent_probes_total counter
eru_agent_probes_total{kind="fake",result="pass"} 2
eru_agent_probes_total{kind="fake",result="timeout"} 1
`
		if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "eru_agent_probes_total"); err != nil {
			t.Error(err)
		}
		if n, err := testutil.GatherAndCount(reg); err != nil || n != 4 {
			t.Errorf("%d series, %v", n, err)
		}
	})
}
