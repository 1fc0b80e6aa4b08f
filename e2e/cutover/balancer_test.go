package cutover

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/e2e/load"
	"github.com/projecteru2/eru-agent/e2e/rig"
)

// balancer is a running eru-lb.
type balancer struct {
	*rig.Process

	t    testing.TB
	addr string
}

// startBalancer starts eru-lb for shop/web of a node, with more flags; it may not be ready yet.
func startBalancer(t testing.TB, n *rig.Node, p *proxy, flags ...string) *balancer {
	t.Helper()
	return launch(t, n, append(driving(p), flags...)...)
}

// driving are the arguments by which eru-lb drives a HAProxy.
func driving(p *proxy) []string {
	return []string{"haproxy", "--services", "shop/web", "--haproxy.socket", p.socket(), "--haproxy.state_file", p.state(), "--state_dir", p.dir}
}

// launch starts eru-lb for a node, with more arguments.
func launch(t testing.TB, n *rig.Node, args ...string) *balancer {
	t.Helper()
	return launchAs(t, n, func(*exec.Cmd) {}, args...)
}

// launchAs is launch of what prepare makes of the command.
func launchAs(t testing.TB, n *rig.Node, prepare func(*exec.Cmd), args ...string) *balancer {
	t.Helper()
	args = append(args, "--name", "edge", "--etcd.endpoints", n.Endpoint(), "--etcd.prefix", n.Prefix, "--etcd.timeout", "1s",
		"--metrics.addr", "127.0.0.1:0", "--log.format", "json")
	b := &balancer{t: t, Process: r.LaunchAs(t, func(c *exec.Cmd) {
		c.Path, c.Args = r.Balancer(), append([]string{r.Balancer()}, args...)
		prepare(c)
	})}
	var start struct{ Metrics string }
	if err := json.Unmarshal([]byte(b.Err.Await(t, `"msg":"starting"`, b.Exited())), &start); err != nil {
		t.Fatal(err)
	}
	b.addr = start.Metrics
	return b
}

// get asks its port.
func (b *balancer) get(path string) (int, string, error) {
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + b.addr + path)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// awaitReady returns once /readyz says yes.
func (b *balancer) awaitReady() *balancer {
	b.t.Helper()
	rig.Await(b.t, "eru-lb to be ready", func() error {
		code, body, err := b.get("/readyz")
		if err == nil && code != http.StatusOK {
			err = errors.New(body)
		}
		return err
	})
	return b
}

// awaitMetric returns once its metrics have a line.
func (b *balancer) awaitMetric(line string) {
	b.t.Helper()
	rig.Await(b.t, "metric "+line, func() error {
		_, body, err := b.get("/metrics")
		if err == nil && !slices.Contains(strings.Split(body, "\n"), line) {
			name, _, _ := strings.Cut(line, " ")
			name, _, _ = strings.Cut(name, "{")
			err = fmt.Errorf("of it there are %q", slices.DeleteFunc(strings.Split(body, "\n"), func(l string) bool { return !strings.HasPrefix(l, name) }))
		}
		return err
	})
}

// named counts the lines of its log that have a text.
func (b *balancer) named(text string) int { return strings.Count(b.Err.String(), text) }

// underLoad runs a load through the proxy for as long as do takes; every request must have been served.
func underLoad(t *testing.T, p *proxy, do func()) {
	t.Helper()
	client := load.NewHTTP(p.url())
	l := load.Start(t.Context(), 100, client.Ask)
	do()
	requests := l.Stop()
	client.Close()
	if failed := requests.Failed(); len(failed) > 0 || len(requests) == 0 {
		t.Errorf("%d of %d requests failed: %s", len(failed), len(requests), requests.Why())
	}
}

// settle lets some requests pass over what stands now.
func settle(d time.Duration) { <-time.After(d) }

// shop starts containers of shop/web and waits until they are healthy.
func shop(n *rig.Node, count int, flags ...string) []*rig.Container {
	list := make([]*rig.Container, count)
	for i := range list {
		list[i] = n.Run("shop", append([]string{rig.HTTP}, flags...)...)
	}
	for _, c := range list {
		c.Await("healthy")
	}
	return list
}
