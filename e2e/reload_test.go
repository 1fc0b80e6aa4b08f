package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// TestReloadCommand has a running agent read good files and bad ones.
func TestReloadCommand(t *testing.T) {
	t.Parallel()
	n := r.Node(t, etcdtest.Start(t))
	file := filepath.Join(t.TempDir(), "agent.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("log: {level: info}\n")
	a := n.Start("--config", file).AwaitReady()
	c := n.Run("shop", rig.HTTP)
	c.Await("healthy")
	reload := func() (string, string, int) {
		t.Helper()
		return r.Exec(t, "reload", "--config", file, "--api.addr", a.API())
	}
	out, errs, code := reload()
	if code != 0 || out != "read again; nothing has changed\n" {
		t.Errorf("nothing new: %d, %s%s", code, out, errs)
	}

	write(`pod: other
log: {level: debug}
healthcheck: {interval: 4s, timeout: 1s, start_interval: 300ms, retry_interval: 900ms, min_interval: 200ms, grid: 50ms, concurrency: 9}
canary: {interval: 1m}
`)
	out, errs, code = reload()
	// The agent has flags for interval and retry_interval, which go over the file.
	want := `taken    healthcheck.timeout: 2s -> 1s
taken    healthcheck.start_interval: 200ms -> 300ms
taken    healthcheck.min_interval: 100ms -> 200ms
taken    healthcheck.grid: 100ms -> 50ms
taken    healthcheck.concurrency: 256 -> 9
taken    log.level: info -> debug
restart  pod: "" -> other
restart  canary.interval: 0s -> 1m0s
`
	if code != 0 || out != want {
		t.Errorf("every key: %d, %s\n%swant\n%s", code, errs, out, want)
	}
	a.AwaitLog(`"msg":"verdict"`) // at level debug

	write("healthcheck:\n  timeout: never\n")
	out, errs, code = reload()
	if code != 2 || out != "" || !strings.HasPrefix(errs, file+`:2:12: healthcheck.timeout: got "never"`) {
		t.Errorf("a bad file: %d, %s%s", code, out, errs)
	}
	if got, err := a.Metric("eru_agent_reloads_total"); err != nil || got != 2 {
		t.Errorf("%v reloads, want 2: nothing is sent of a bad file; %v", got, err)
	}
	c.Behave("500")
	c.Await("unhealthy")
	a.AwaitReady()
}
