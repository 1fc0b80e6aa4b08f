package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// explained is what explain says of a container of the node, and its exit code.
func explained(t *testing.T, n *rig.Node, a *rig.Agent, args ...string) (string, int) {
	t.Helper()
	out, errs, code := r.Exec(t, append([]string{"explain", "--node", n.Name, "--api.addr", a.API(), "--docker.endpoint", r.Docker(),
		"--etcd.endpoints", n.Endpoint(), "--etcd.prefix", n.Prefix}, args...)...)
	return out + errs, code
}

// TestExplain misconfigures real containers, each in one way, and holds that
// explain names the cause.
func TestExplain(t *testing.T) {
	t.Parallel()
	n := r.Node(t, etcdtest.Start(t))
	a := n.Start().AwaitReady()
	explain := func(t *testing.T, args ...string) (string, int) {
		return explained(t, n, a, append([]string{"--docker.select", n.Label()}, args...)...)
	}
	for _, test := range []struct {
		what   string
		flags  []string
		do     func(t *testing.T, c *rig.Container)
		state  string
		reason string
		code   int
		says   []string
	}{
		{what: "healthy", flags: []string{rig.HTTP}, state: "healthy", code: 0,
			says: []string{"it is healthy, and proxies send to it", "ask HTTP on this port", "which is that of its network mode", "at revision ", "write ", "sends requests"}},
		{what: "wrong port", flags: []string{"--label=eru.health.http.port=8000"}, state: "starting", reason: "connect_refused", code: 1, says: []string{"nobody in the container listens on it, but on 80", "mend it"}},
		{what: "loopback alone", flags: []string{rig.HTTP, "--env=BIND=127.0.0.1"}, state: "starting", reason: "connect_refused", code: 1, says: []string{"listens on it at 127.0.0.1 only", "let it listen on 0.0.0.0:80"}},
		{what: "wrong code", flags: []string{rig.HTTP, "--label=eru.health.http.path=/503"}, state: "starting", reason: "http_code", code: 1, says: []string{"503, want 200-399", "eru.health.http.codes"}},
		{what: "timeout", flags: []string{rig.HTTP, "--env=MODE=silent", "--label=eru.health.timeout=200ms"}, state: "starting", reason: "timeout", code: 1, says: []string{"its probe fails", "eru.health.timeout"}},
		{what: "invalid label", flags: []string{"--label=eru.health.http.port=eighty"}, state: "invalid", code: 1, says: []string{"a label cannot be understood", "mend that label"}},
		{what: "no network", flags: []string{rig.HTTP, "--network=none"}, state: "starting", reason: "no_address", code: 1, says: []string{"no address that this node can reach", "eru.health.via: netns"}},
		{what: "paused", flags: []string{rig.HTTP}, do: func(t *testing.T, c *rig.Container) { c.Docker("pause") }, state: "paused", code: 1, says: []string{"docker unpause"}},
		{what: "stopped", flags: []string{rig.HTTP}, do: func(t *testing.T, c *rig.Container) { c.Docker("kill") }, state: "stopped", code: 1, says: []string{"it does not run", "docker logs"}},
		{what: "published where nobody listens", flags: []string{rig.HTTP, "--label=eru.publish=9"}, state: "healthy", code: 1, says: []string{"published to port 9, on which nobody listens"}},
	} {
		t.Run(test.what, func(t *testing.T) {
			t.Parallel()
			c := n.In(t).Run("explained", test.flags...)
			if test.do != nil {
				c.AwaitStatus("healthy", func(s rig.Status) bool { return s.State == "healthy" })
				test.do(t, c)
			}
			if test.reason == "connect_refused" {
				c.AwaitListening()
			}
			c.AwaitStatus(test.state+" "+test.reason, func(s rig.Status) bool {
				return s.State == test.state && (test.reason == "" || s.Reason == test.reason)
			})
			out, code := explain(t, c.Name)
			want(t, "exit code", code, test.code)
			for _, text := range test.says {
				if !strings.Contains(out, text) {
					t.Errorf("it does not say %q:\n%s", text, out)
				}
			}
		})
	}
	t.Run("drained", func(t *testing.T) {
		c := n.In(t).Run("drained", rig.HTTP)
		c.AwaitStatus("healthy", func(s rig.Status) bool { return s.State == "healthy" })
		if _, errs, code := r.Exec(t, "drain", "--reason", "new disk", "--etcd.endpoints", n.Endpoint(), "--etcd.prefix", n.Prefix, c.ID); code != 0 {
			t.Fatal(errs)
		}
		c.AwaitStatus("draining", func(s rig.Status) bool { return s.State == "draining" })
		if out, code := explain(t, c.ID[:12]); code != 1 || !strings.Contains(out, "an operator drains it") || !strings.Contains(out, "eru-agent undrain "+c.ID[:12]) || !strings.Contains(out, "new disk") {
			t.Errorf("%d: %s", code, out)
		}
	})
	t.Run("no agent", func(t *testing.T) {
		c := n.In(t).Run("orphan", rig.HTTP)
		c.AwaitStatus("healthy", func(s rig.Status) bool { return s.State == "healthy" })
		out, code := explain(t, "--api.addr", "127.0.0.1:1", c.Name)
		for _, text := range []string{"no agent answers here", "systemctl start eru-agent", "at revision ", "sends requests"} {
			if code != 1 || !strings.Contains(out, text) {
				t.Errorf("%d, it does not say %q:\n%s", code, text, out)
			}
		}
	})
	t.Run("no label", func(t *testing.T) {
		c := n.In(t).Run("plain")
		if out, code := explained(t, n, a, c.Name); code != 1 || !strings.Contains(out, "it has no label that selects it: neither ERU=1 nor any eru.health.") {
			t.Errorf("%d: %s", code, out)
		}
		c = n.In(t).Run("misspelt", "--label=eru.heatlh.http.port=80")
		if out, code := explained(t, n, a, c.Name); code != 1 || !strings.Contains(out, `spell the label "eru.heatlh.http.port" as "eru.health.http.port",`) {
			t.Errorf("%d: %s", code, out)
		}
		c = n.In(t).Run("other")
		if out, code := explain(t, "--docker.select", "nobody.has.it", c.Name); code != 1 || !strings.Contains(out, "docker.select (") {
			t.Errorf("%d: %s", code, out)
		}
	})
	t.Run("hostile label", func(t *testing.T) {
		c := n.In(t).Run("hostile", "--label=eru.health.http.port=\x1b[31m\u202e"+strings.Repeat("x", 10<<10))
		c.AwaitStatus("invalid", func(s rig.Status) bool { return s.State == "invalid" && len(s.Detail) <= 256 })
		for _, output := range []string{"text", "json"} {
			out, code := explain(t, "-o", output, c.Name)
			if code != 1 || strings.ContainsAny(out, "\x1b\u202e") || len(out) > 8<<10+len(out)*strings.Count(output, "json") {
				t.Errorf("%d: %d bytes, %q", code, len(out), out)
			}
		}
	})
	t.Run("nobody", func(t *testing.T) {
		if out, code := explain(t, "nobody-of-that-name"); code != 1 || !strings.Contains(out, "Docker on this node does not know it") {
			t.Errorf("%d: %s", code, out)
		}
	})
	t.Run("JSON", func(t *testing.T) {
		c := n.In(t).Run("json", rig.HTTP)
		c.AwaitStatus("healthy", func(s rig.Status) bool { return s.State == "healthy" })
		out, code := explain(t, "-o", "json", c.Name)
		var doc struct {
			Agent  struct{ ID string }
			Advice struct{ Well bool }
			Etcd   struct{ Use string }
		}
		if err := json.Unmarshal([]byte(out), &doc); err != nil || code != 0 || doc.Agent.ID != c.ID || !doc.Advice.Well || doc.Etcd.Use != "ready" {
			t.Errorf("%d, %v: %s", code, err, out)
		}
		if code, body, err := a.Get("/explain?container=nobody"); err != nil || code != 404 || strings.Count(body, "\n") != 1 {
			t.Errorf("%d, %v: %s", code, err, body)
		}
	})
}
