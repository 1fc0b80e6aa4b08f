package canary_test

import (
	"context"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/projecteru2/eru-agent/healthcheck"
	"github.com/projecteru2/eru-agent/selfmon/canary"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

func listen(t *testing.T) *canary.Listener {
	t.Helper()
	l, err := canary.Listen()
	if err != nil {
		t.Fatal(err)
	}
	run(t, l.Serve)
	return l
}

// run runs a part until the test ends.
func run(t *testing.T, part func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- part(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestTargetIsProbed has the real runner ask the real target.
func TestTargetIsProbed(t *testing.T) {
	l, reg := listen(t), prometheus.NewPedanticRegistry()
	cfg := healthcheck.Config{Interval: 100 * time.Millisecond, Timeout: 10 * time.Second, StartInterval: 100 * time.Millisecond,
		RetryInterval: 100 * time.Millisecond, MinInterval: 100 * time.Millisecond, Grid: healthcheck.DefaultGrid, Concurrency: 8}
	runner := healthcheck.NewRunner(cfg, healthcheck.LoopbackControl, healthcheck.NewMetrics(reg))
	run(t, runner.Run)
	r := &rig{}
	c := canary.New("n1", time.Minute, l, runner, r, r, r, zap.NewNop(), prometheus.NewPedanticRegistry())
	if err := c.Care(healthcheck.NewParser(cfg)); err != nil {
		t.Fatal(err)
	}
	late := time.After(patience)
	for _, healthy := range []bool{true, false, true} {
		l.Show(healthy)
		for found := false; !found; {
			select {
			case res := <-runner.Results():
				found = res.ID == canary.ID && !res.Void && res.Verdict.Pass == healthy
				if !res.Verdict.Pass && !res.Void && res.Verdict.Reason != healthcheck.ReasonHTTPCode {
					t.Errorf("the verdict is %+v", res.Verdict)
				}
			case <-late:
				t.Fatalf("no verdict says that it is healthy: %t", healthy)
			}
		}
	}
	if n, err := testutil.GatherAndCount(reg, "eru_agent_probes_total"); err != nil || n != 2 {
		t.Errorf("%d series of probes, %v; want those of kind canary that pass and that do not", n, err)
	}
}

// TestSilentConnections keeps all its places taken by those who ask nothing.
func TestSilentConnections(t *testing.T) {
	l := listen(t)
	for range 64 {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("code %d, %v", resp.StatusCode, err)
	}
}
