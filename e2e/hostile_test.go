package e2e

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// TestHostileContainers lets a container misbehave in every way that the web server knows, beside neighbours that do not.
func TestHostileContainers(t *testing.T) {
	t.Parallel()
	n := r.Node(t, etcdtest.Start(t))
	a := n.Start().AwaitReady()
	neighbours := []*rig.Container{n.Run("neighbour", rig.HTTP), n.Run("neighbour", rig.HTTP)}
	strict := []string{rig.HTTP, "--label=eru.health.timeout=500ms", "--label=eru.health.http.codes=200", "--label=eru.health.http.body=^GET"}
	plain := n.Run("hostile", strict...)
	secure := n.Run("hostile-tls", append(strict, "--env=TLS=1", "--label=eru.health.http.scheme=https", "--label=eru.health.http.tls.skip_verify=true")...)
	for _, c := range append(neighbours, plain, secure) {
		c.Await("healthy")
	}
	elsewhere, asked := rig.Trap(t)
	before := descriptors(t, a)

	for _, test := range []struct {
		mode   string
		c      *rig.Container
		reason string
	}{
		{"500", plain, "http_code"},
		{"silent", plain, "timeout"},
		{"drip", plain, "timeout"},
		{"slow=1s", plain, "timeout"},
		{"refuse", plain, "connect_refused"},
		{"reset", plain, "reset"},
		{"garbage", plain, "http_protocol"},
		{"tls-garbage", plain, "http_protocol"},
		{"endless-headers", plain, "http_protocol"},
		{"endless-body", plain, "http_body"},
		{"redirect-self", plain, "http_code"},
		{"redirect-out=" + elsewhere, plain, "http_code"},
		{"hang=2s", plain, "timeout"},
		{"tls-garbage", secure, "tls"},
		{"silent", secure, "timeout"},
		{"endless-headers", secure, "http_protocol"},
		{"drip", secure, "timeout"},
	} {
		test.c.Behave(test.mode)
		test.c.AwaitStatus("unhealthy by "+test.mode, func(s rig.Status) bool { return s.State == "unhealthy" && s.Reason == test.reason })
		test.c.Behave("ok") // a container that hangs says so when it is back
		test.c.Await("healthy")
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
	for _, c := range neighbours {
		if got := c.Course(); !slices.Equal(got, []string{"healthy"}) {
			t.Errorf("neighbour has states %v", got)
		}
	}
	rig.Await(t, "descriptors to be given back", func() error {
		if now := descriptors(t, a); now > before+4 { // probes are under way all the time
			return fmt.Errorf("%d are open, %d were before", now, before)
		}
		return nil
	})
}

func descriptors(t *testing.T, a *rig.Agent) int {
	t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", a.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
