package agent

import (
	"net/netip"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/projecteru2/eru-agent/healthcheck"
	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/trail"
	"github.com/projecteru2/eru-agent/watcher"
)

type noChecks struct{}

func (noChecks) Set(healthcheck.Job)                {}
func (noChecks) Remove(string)                      {}
func (noChecks) Results() <-chan healthcheck.Result { return nil }

type noPublisher struct{}

func (noPublisher) Set(status.Key, status.Status, time.Time) {}
func (noPublisher) Retire(status.Key)                        {}
func (noPublisher) Drop(status.Key)                          {}

// TestAllocations counts what the agent allocates to act on what it is told. It
// does not depend on the machine; a change that makes it more says why.
func TestAllocations(t *testing.T) {
	cfg := healthcheck.Config{Interval: time.Second, Timeout: time.Second, StartInterval: time.Second, RetryInterval: time.Second,
		MinInterval: time.Second, Grid: healthcheck.DefaultGrid, Concurrency: 1}
	log := zap.NewNop()
	a := New(Config{Node: "n1"}, nil, noChecks{}, noPublisher{}, healthcheck.NewParser(cfg), trail.New(), log, NewMetrics(prometheus.NewRegistry()))
	addr := netip.MustParseAddr("172.17.0.7")
	c := watcher.Container{ID: "c1", Name: "web", Labels: map[string]string{"eru.health.http.port": "80"}, Started: time.Now(),
		Pid: 100, Addr: addr, Networks: map[string]netip.Addr{"bridge": addr}}
	a.event(watcher.Event{Kind: watcher.Running, ID: c.ID, Container: c, At: time.Now()})
	verdict := func(v healthcheck.Verdict) func() {
		return func() {
			a.verdict(healthcheck.Result{ID: c.ID, Epoch: a.lives[c.ID].epoch, Verdict: v, At: time.Now()})
		}
	}
	pass := verdict(healthcheck.Verdict{Pass: true, Probe: "http :80/"})
	fail := verdict(healthcheck.Verdict{Reason: healthcheck.ReasonTimeout, Detail: "no answer in time", Probe: "http :80/"})
	pass()
	if s := a.lives[c.ID].status.State; s != status.StateHealthy {
		t.Fatalf("state %s", s)
	}
	for _, tt := range []struct {
		what string
		do   func()
		most float64
	}{
		{"one more pass", pass, 0},
		{"a failure and a pass", func() { fail(); pass() }, 7}, // four of them are two steps of the trail,
		{"the same facts again", func() {
			a.event(watcher.Event{Kind: watcher.Running, ID: c.ID, Container: c, At: time.Now()})
		}, 8}, // two of them for the trail, which reads labels only when it is asked
	} {
		got := testing.AllocsPerRun(200, tt.do)
		t.Logf("%s: %v", tt.what, got)
		if got > tt.most {
			t.Errorf("%s: %v allocations, want at most %v", tt.what, got, tt.most)
		}
	}
}
