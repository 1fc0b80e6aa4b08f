package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// many starts containers and waits until all are healthy.
func many(n *rig.Node, count int, flags ...string) []*rig.Container {
	list := make([]*rig.Container, count)
	for i := range list {
		list[i] = n.Run("many", flags...)
	}
	for _, c := range list {
		c.Await("healthy")
	}
	return list
}

// unchanged fails the test for each change of a status after a revision.
func unchanged(t *testing.T, n *rig.Node, since int64) {
	t.Helper()
	n.Catch()
	for _, e := range n.Events("status/") {
		if e.Revision > since {
			t.Errorf("revision %d changed %s to %s", e.Revision, e.Key, e.Value)
		}
	}
}

// TestRestarts ends the agent in several ways and starts it again; nobody who reads etcd may notice.
func TestRestarts(t *testing.T) {
	t.Parallel()
	eachEtcd(t, func(t *testing.T, start func(testing.TB, ...etcdtest.Option) *etcdtest.Server) {
		n := r.Node(t, start(t))
		a := n.Start().AwaitReady()
		all := many(n, 20, rig.HTTP)
		all[0].Behave("500") // one is not healthy, and stays so too
		all[0].Await("unhealthy")
		since := n.Catch()
		for range 3 {
			a.Kill()
			a = n.Start().AwaitReady()
			verified(t, a, len(all))
		}
		unchanged(t, n, since)

		a.Signal(syscall.SIGTERM)
		want(t, "exit code", a.Wait(), 0)
		n.Catch()
		e, ok := n.Last("status:node/" + n.Name)
		if !ok || !strings.Contains(string(e.Value), `"state":"stopping"`) {
			t.Errorf("the node record is %s", e.Value)
		}
		unchanged(t, n, since)
		a = n.Start().AwaitReady()
		verified(t, a, len(all))
		unchanged(t, n, since)
		all[0].Behave("ok")
		all[0].Await("healthy")
	})
}

// verified returns once the agent has probed every container itself.
func verified(t *testing.T, a *rig.Agent, containers int) {
	t.Helper()
	rig.Await(t, "all containers to be probed", func() error {
		probes, err := a.Metric("eru_agent_probes_total")
		if err == nil && probes < float64(2*containers) {
			err = fmt.Errorf("%v probes so far", probes)
		}
		return err
	})
}

// TestFrozenAgent stops the agent where it stands, with probes under way.
func TestFrozenAgent(t *testing.T) {
	t.Parallel()
	n := r.Node(t, etcdtest.Start(t))
	a := n.Start().AwaitReady()
	all := many(n, 5, rig.HTTP, "--env=MODE=slow=150ms", "--label=eru.health.timeout=1s")
	since := n.Catch()
	a.Signal(syscall.SIGSTOP)
	<-time.After(5 * time.Second) // the fault itself
	a.Signal(syscall.SIGCONT)
	probes, err := a.Metric("eru_agent_probes_total")
	if err != nil {
		t.Fatal(err)
	}
	rig.Await(t, "probes to go on", func() error {
		now, err := a.Metric("eru_agent_probes_total")
		if err == nil && now < probes+float64(3*len(all)) {
			err = fmt.Errorf("%v probes, %v before", now, probes)
		}
		return err
	})
	unchanged(t, n, since)
	all[0].Behave("500")
	all[0].Await("unhealthy")
}

// TestSuccession starts a second agent for the same node on the same machine.
func TestSuccession(t *testing.T) {
	t.Parallel()
	eachEtcd(t, func(t *testing.T, start func(testing.TB, ...etcdtest.Option) *etcdtest.Server) {
		n := r.Node(t, start(t))
		first := n.Start().AwaitReady()
		c := n.Run("shop", rig.HTTP)
		c.Await("healthy")
		since := n.Catch()
		second := n.Start().AwaitReady()
		c2 := n.Run("shop", rig.HTTP) // which makes the first one write, too
		c2.Await("healthy")
		want(t, "exit code of the first", first.Wait(), 1)
		owner, _ := n.Last("agent/" + n.Name)
		var o struct{ Instance, Machine string }
		if err := json.Unmarshal(owner.Value, &o); err != nil {
			t.Fatal(err)
		}
		last := lastLine(first.Err.String())
		for _, word := range []string{"fenced", o.Instance, o.Machine, n.Name} {
			if !strings.Contains(last, word) {
				t.Errorf("the first one ends with %q, which does not name %q", last, word)
			}
		}
		for _, e := range c.Events() {
			if e.Revision > since {
				t.Errorf("the status of the neighbour changed: %s", e.Value)
			}
		}
		second.AwaitReady()
	})
}

// TestStranger starts an agent under the name of a node that lives on another machine.
func TestStranger(t *testing.T) {
	t.Parallel()
	n := r.Node(t, etcdtest.Start(t))
	lease, err := n.Client().Grant(context.Background(), 60)
	if err != nil {
		t.Fatal(err)
	}
	n.Put("agent/"+n.Name, `{"instance":"other","sequence":7,"version":"v1","started":"2026-01-01T00:00:00Z","machine":"elsewhere/1234"}`)
	n.Put("status:node/"+n.Name, `{"Nodename":"`+n.Name+`","Podname":"","Alive":true,"agent":{"instance":"other","version":"v1","started":"2026-01-01T00:00:00Z","machine":"elsewhere/1234","state":"running"}}`,
		clientv3.WithLease(lease.ID))
	since := n.Catch()
	a := n.Start()
	want(t, "exit code", a.Wait(), 1)
	last := lastLine(a.Err.String())
	for _, word := range []string{n.Name, "elsewhere/1234", "another node name"} {
		if !strings.Contains(last, word) {
			t.Errorf("it ends with %q, which does not name %q", last, word)
		}
	}
	n.Catch()
	if events := n.Events("agent/"); events[len(events)-1].Revision > since {
		t.Errorf("it wrote %s", events[len(events)-1].Value)
	}
	if _, err := n.Client().Revoke(context.Background(), lease.ID); err != nil {
		t.Fatal(err)
	}
	n.Start().AwaitReady() // the other one is gone
}

// TestTakenPort starts an agent whose port somebody has.
func TestTakenPort(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, text, code := r.Exec(t, "run", "--api.addr", l.Addr().String())
	want(t, "exit code", code, 1)
	if last := lastLine(text); !strings.Contains(last, l.Addr().String()) || !strings.Contains(last, "address already in use") {
		t.Errorf("it ends with %q", last)
	}
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// TestReload changes the configuration of a running agent, for better and for worse.
func TestReload(t *testing.T) {
	t.Parallel()
	n := r.Node(t, etcdtest.Start(t))
	file := filepath.Join(t.TempDir(), "agent.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("healthcheck: {timeout: 2s}\nlog: {level: info}\n")
	a := n.Start("--config", file).AwaitReady()
	c := n.Run("shop", rig.HTTP)
	c.Await("healthy")
	a.AwaitLog(`"msg":"ready"`) // a reload before that is one of the agent's start

	write("healthcheck: {timeout: 2s}\nlog: {level: debug}\npod: other\netcd: {timeout: 4s}\n")
	a.Signal(syscall.SIGHUP)
	taken := a.AwaitLog("the configuration was read again")
	waiting := a.AwaitLog("taken only after a restart")
	a.AwaitLog(`"msg":"verdict"`) // at level debug
	if !strings.Contains(taken, `["log.level: info -> debug"]`) || !strings.Contains(waiting, `["pod: \"\" -> other","etcd.timeout: 3s -> 4s"]`) {
		t.Errorf("it says %s and %s", taken, waiting)
	}

	write("log:\n  level: info\nhealthcheck:\n  timeout: never\n")
	a.Signal(syscall.SIGHUP)
	wrong := a.AwaitLog("the old one stays in force")
	if !strings.Contains(wrong, file+`:4:12: healthcheck.timeout: got \"never\"`) {
		t.Errorf("it says %s", wrong)
	}
	a.AwaitReady()
	c.Behave("500")
	c.Await("unhealthy")
}

// TestQuietNode leaves healthy containers alone for longer than a session lives.
func TestQuietNode(t *testing.T) {
	t.Parallel()
	eachEtcd(t, func(t *testing.T, start func(testing.TB, ...etcdtest.Option) *etcdtest.Server) {
		n := r.Node(t, start(t))
		a := n.Start().AwaitReady()
		many(n, 3, rig.HTTP)
		n.Catch()
		before := revision(t, n)
		probes, err := a.Metric("eru_agent_probes_total")
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(12 * time.Second) // what is looked at: the session's TTL is 10 s
		want(t, "revision after 12 s", revision(t, n), before)
		e, _ := n.Last("status:node/" + n.Name)
		lease, err := n.Client().TimeToLive(context.Background(), clientv3.LeaseID(e.Lease))
		if err != nil || lease.TTL <= 0 {
			t.Errorf("the session is not kept: %+v, %v", lease, err)
		}
		if now, err := a.Metric("eru_agent_probes_total"); err != nil || now <= probes {
			t.Errorf("%v probes after %v: %v", now, probes, err)
		}
	})
}

func revision(t *testing.T, n *rig.Node) int64 {
	t.Helper()
	resp, err := n.Client().Get(context.Background(), n.Prefix, clientv3.WithCountOnly())
	if err != nil {
		t.Fatal(err)
	}
	return resp.Header.Revision
}
