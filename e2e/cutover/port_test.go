package cutover

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// mostPlaces is what docs/operating.md says of the port.
const mostPlaces = 256

// TestAThousandSlowClients keeps a thousand connections to eru-lb's port open that get nothing done, while it has few
// descriptors: what changes is applied, and it says how it fares.
func TestAThousandSlowClients(t *testing.T) {
	n := r.Node(t, etcdtest.StartProcess(t))
	n.Start().AwaitReady()
	c := shop(n, 3)
	p := startProxy(t)
	b := launchAs(t, n, rig.FewDescriptors(mostPlaces+128), driving(p)...).awaitReady() // the unit grants 4096
	p.awaitIn(c...)
	rig.SlowClients(t, b.addr, 1000)
	rig.Await(t, "the places to be taken", func() error {
		open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", b.Pid()))
		if err == nil && len(open) < mostPlaces {
			err = fmt.Errorf("%d descriptors are open", len(open))
		}
		return err
	})
	for range 2 {
		c[0].Behave("500")
		p.awaitIn(c[1:]...)
		c[0].Behave("ok")
		p.awaitIn(c...)
	}
	p.reload()
	p.awaitIn(c...)
	b.awaitReady()
	b.awaitMetric("eru_lb_haproxy_up 1")
	rig.Await(t, "a thousand clients to be cut", func() error {
		_, body, err := b.get("/metrics")
		_, after, found := strings.Cut(body, "\neru_lb_http_connections_cut_total ")
		if err != nil || !found {
			return fmt.Errorf("no count: %w", err)
		}
		var cut float64
		if _, err := fmt.Sscan(after, &cut); err != nil || cut < 1000 {
			return fmt.Errorf("%.0f were cut: %w", cut, err)
		}
		return nil
	})
	if b.named("too many open files") > 0 {
		t.Error("it lacked descriptors")
	}
}

// TestPortIsGuarded asks eru-lb's port as a page of another site would that has its name resolve to 127.0.0.1, and has
// it do something.
func TestPortIsGuarded(t *testing.T) {
	b := launch(t, r.Node(t, etcdtest.StartProcess(t)), "haproxy", "--services", "shop/web", "--state_dir", "", "--haproxy.state_file", "")
	machine, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		method, host string
		code         int
		body         string // its beginning
	}{
		{"GET", b.addr, http.StatusOK, "alive"},
		{"GET", machine, http.StatusOK, "alive"},
		{"GET", "evil.example", http.StatusMisdirectedRequest, `this port does not go by "evil.example": `},
		{"POST", b.addr, http.StatusMethodNotAllowed, "this port answers GET and HEAD only"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), tt.method, "http://"+b.addr+"/healthz", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host, req.Close = tt.host, true
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != tt.code || !strings.HasPrefix(string(body), tt.body) {
			t.Errorf("%s of %s: %d %q, %v", tt.method, tt.host, resp.StatusCode, body, err)
		}
	}
}
