package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// TestCanary lets a canary flip on a node without containers, over a reload, an etcd that is away, and the agent's death.
func TestCanary(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.StartProcess(t)
	n := r.Node(t, etcd)
	file := filepath.Join(t.TempDir(), "agent.yaml")
	n.Flags = []string{"--config", file, "--canary.interval", "10s", "--etcd.session_ttl", "2s"}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("")
	a := n.Start().AwaitReady()
	await := func(what string, flips int) {
		t.Helper()
		rig.Await(t, what, func() error {
			for _, stage := range []string{`flips_total{result="seen"}`, "detect_seconds_count", "publish_seconds_count", "watch_seconds_count"} {
				got, err := canary(a, stage)
				if err == nil && got < flips {
					err = fmt.Errorf("%s is %d", stage, got)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	await("a flip to be seen", 1)
	write("healthcheck: {timeout: 1s}\n")
	if out, errs, code := r.Exec(t, "reload", "--config", file, "--api.addr", a.API()); code != 0 || !strings.Contains(out, "healthcheck.timeout") {
		t.Errorf("reload ended with %d: %s%s", code, out, errs)
	}
	etcd.Stop()
	a.AwaitLog("the canary's flip was not seen")
	etcd.Restart()
	before, err := canary(a, `flips_total{result="seen"}`)
	if err != nil {
		t.Fatal(err)
	}
	await("a flip to be seen again", before+1)

	key := "canary/" + n.Name
	for i, e := range slices.DeleteFunc(n.Events(key), rig.Event.Deleted) {
		var c struct{ State string }
		if err := json.Unmarshal(e.Value, &c); err != nil || e.Lease == 0 || e.Key != key || i == 0 && c.State != "unhealthy" {
			t.Errorf("%s is %s on lease %x, %v", e.Key, e.Value, e.Lease, err)
		}
	}
	if events := n.Events("status/"); len(events) > 0 {
		t.Errorf("statuses changed: %v", events)
	}
	_, metrics, err := a.Get("/metrics")
	if err != nil || strings.Contains(metrics, "eru_agent_transitions_total{") || strings.Contains(metrics, `kind="http"`) || !strings.Contains(metrics, `kind="canary"`) {
		t.Errorf("%v, metrics are %s", err, metrics)
	}
	if got, err := a.Metric("eru_agent_containers"); err != nil || got != 0 {
		t.Errorf("%v containers, %v", got, err)
	}
	if _, body, err := a.Get("/status"); err != nil || strings.Contains(body, "canary") {
		t.Errorf("%v, /status is %s", err, body)
	}
	a.Kill()
	n.Await(t, "the canary to go with its agent", func() bool {
		e, ok := n.Last(key)
		return ok && e.Deleted()
	}, func() string { e, _ := n.Last(key); return string(e.Value) })
}

// TestNoCanary holds that there is none by default.
func TestNoCanary(t *testing.T) {
	t.Parallel()
	n := r.Node(t, etcdtest.Start(t))
	a := n.Start().AwaitReady()
	n.Catch()
	if events := n.Events("canary/"); len(events) > 0 {
		t.Errorf("there are %v", events)
	}
	if code, metrics, err := a.Get("/metrics"); err != nil || code != 200 || strings.Contains(metrics, "canary") {
		t.Errorf("code %d, %v, metrics are %s", code, err, metrics)
	}
}

// canary is one of the canary's numbers.
func canary(a *rig.Agent, series string) (int, error) {
	_, metrics, err := a.Get("/metrics")
	if err != nil {
		return 0, err
	}
	m := regexp.MustCompile(`(?m)^eru_agent_canary_` + regexp.QuoteMeta(series) + ` (\d+)$`).FindStringSubmatch(metrics)
	if m == nil {
		return 0, fmt.Errorf("there is no %s", series)
	}
	return strconv.Atoi(m[1])
}
