package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

const newerVersion = "v9.0.0-chaos"

// TestAgentRestarted ends the agent in several ways, again and again, under containers of which some are not healthy.
func TestAgentRestarted(t *testing.T) {
	t.Parallel()
	newer, err := r.Build(context.Background(), newerVersion)
	if err != nil {
		t.Fatal(err)
	}
	n := r.Node(t, etcdtest.Start(t))
	l := newLedger(&row{t: t}, n) // no row of the table is about the setting up
	network := "--network=" + n.Network("crew")
	a := n.Start().AwaitReady()
	containers := len(crew(l, n, of(10, 50), network)) + misfits(l, n, network)
	a.Kill()

	for _, one := range []struct {
		fault string
		next  func(i int, n *rig.Node, a *rig.Agent) *rig.Agent
	}{
		{"agent SIGKILL and start", func(_ int, n *rig.Node, a *rig.Agent) *rig.Agent {
			a.Kill()
			return n.Start()
		}},
		{"agent SIGKILL while it starts", func(_ int, n *rig.Node, a *rig.Agent) *rig.Agent {
			a.Kill()
			a = n.Start()
			<-time.After(rand.N(300 * time.Millisecond)) // the fault's moment
			a.Kill()
			return n.Start()
		}},
		{"agent SIGTERM and start", func(_ int, n *rig.Node, a *rig.Agent) *rig.Agent {
			terminate(n, a)
			return n.Start()
		}},
		{"agent upgraded and downgraded", func(i int, n *rig.Node, a *rig.Agent) *rig.Agent {
			terminate(n, a)
			if i%2 == 1 {
				return n.Start()
			}
			a = n.StartAs("", func(c *exec.Cmd) { c.Path = newer })
			a.AwaitLog(newerVersion)
			return a
		}},
	} {
		t.Run(one.fault, func(t *testing.T) {
			n := n.In(t)
			row := newRow(t, ofAgent, one.fault, "etcd 3.7, Docker")
			l.row = row
			a := n.Start().AwaitReady()
			verified(t, a, containers)
			since, before := n.Catch(), baseline(t, a)
			for i := range of(3, 20) {
				row.injected(1)
				at := time.Now()
				a = one.next(i, n, a).AwaitReady()
				verified(t, a, containers)
				row.rightAfter(time.Since(at), 2*time.Second)
			}
			l.nothingNew()
			unwritten(row, n, since)
			row.flat(a, before)
		})
	}
}

// terminate ends an agent as systemd does.
func terminate(n *rig.Node, a *rig.Agent) {
	a.Signal(syscall.SIGTERM)
	a.Wait()
	n.Catch()
}

// TestAgentKilledAtStart kills the agent at any moment of its start, while etcd and Docker are slow.
func TestAgentKilledAtStart(t *testing.T) {
	t.Parallel()
	row := newRow(t, ofAgent, "agent SIGKILL while it starts", "etcd 3.7 and fake Docker, both slow")
	etcd := etcdtest.Start(t)
	way := etcdtest.NewProxy(t, etcd.Address())
	crowd := rig.NewCrowd(t, dockertest.Config{})
	n := r.CrowdNode(t, crowd, way.Address(), clientv3.Config{Endpoints: []string{etcd.Endpoint()}})
	l := newLedger(row, n)
	a := n.Start().AwaitReady()
	gather(l, crowd, 50)
	since := n.Catch()

	for _, path := range []string{dockertest.List, dockertest.Inspect, dockertest.Ping, dockertest.Events} {
		crowd.Slow(path, 50*time.Millisecond)
	}
	defer faltering(way)()
	for range of(10, 60) {
		a.Kill()
		a = n.Start()
		<-time.After(rand.N(1500 * time.Millisecond)) // the fault's moment
		row.injected(1)
	}
	a.Kill()
	at := time.Now()
	a = n.Start().AwaitReady()
	verified(t, a, 50)
	row.rightAfter(time.Since(at), 2*time.Second)
	l.nothingNew()
	unwritten(row, n, since)
}

// faltering lets a way pass bytes in bursts only, until the function that it returns is called.
func faltering(way *etcdtest.Proxy) func() {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		defer way.Resume()
		for {
			for _, turn := range []func(){way.Hold, way.Resume} {
				turn()
				select {
				case <-end:
					return
				case <-time.After(40 * time.Millisecond): // the fault itself
				}
			}
		}
	}()
	return func() {
		close(end)
		<-ended
	}
}

// crew starts real containers that are healthy.
func crew(l *ledger, n *rig.Node, count int, flags ...string) []*rig.Container {
	l.row.t.Helper()
	list := make([]*rig.Container, count)
	for i := range list {
		list[i] = n.Run("crew", append([]string{rig.HTTP}, flags...)...)
		l.begins(list[i].ID)
	}
	l.settle(time.Now())
	return list
}

// misfits starts real containers one of each kind that is not healthy, and one that nobody probes; it returns how many.
func misfits(l *ledger, n *rig.Node, flags ...string) int {
	l.row.t.Helper()
	run := func(end string, more ...string) *rig.Container {
		c := n.Run("misfit", slices.Concat(flags, more)...)
		l.is(c.ID, end, "starting", "healthy")
		return c
	}
	run("healthy")
	run("invalid", "--label=eru.health.http.port=none")
	l.is(n.Run("misfit", slices.Concat(flags, []string{rig.HTTP, "--env=MODE=503"})...).ID, "starting")
	failing, paused, dead := run("healthy", rig.HTTP), run("healthy", rig.HTTP), run("healthy", rig.HTTP)
	l.settle(time.Now())
	l.is(failing.ID, "unhealthy")
	failing.Behave("500")
	l.is(paused.ID, "paused")
	paused.Docker("pause")
	l.dies(dead.ID)
	dead.Docker("kill")
	l.settle(time.Now())
	return 6
}

// gather lets containers join the crowd, and waits until they are healthy.
func gather(l *ledger, crowd *rig.Crowd, count int) []dockertest.Container {
	l.row.t.Helper()
	list := make([]dockertest.Container, count)
	for i := range list {
		list[i] = crowd.Join("crowd")
		l.begins(list[i].ID)
	}
	l.settle(time.Now())
	return list
}

// verified returns once the agent has probed every container itself.
func verified(t *testing.T, a *rig.Agent, containers int) {
	t.Helper()
	rig.Await(t, "all containers to be probed", func() error {
		probes, err := a.Metric("eru_agent_probes_total")
		if err == nil && probes < float64(containers) {
			err = fmt.Errorf("%v probes so far", probes)
		}
		return err
	})
}

// unwritten holds that no status was written after a revision, not even with what stood there.
func unwritten(row *row, n *rig.Node, since int64) {
	row.t.Helper()
	n.Catch()
	for _, e := range n.Events("status/") {
		if e.Revision > since {
			row.wrongly("revision %d writes %s, of which nothing is new: %s", e.Revision, e.Key, e.Value)
		}
	}
}

// count reads one series of the agent's metrics, as `name{label="value"}`; 0 if there is none.
func count(t testing.TB, a *rig.Agent, series string) float64 {
	t.Helper()
	var value float64
	rig.Await(t, "metrics", func() error {
		_, body, err := a.Get("/metrics")
		if err != nil {
			return err
		}
		for line := range strings.Lines(body) {
			if text, ok := strings.CutPrefix(line, series+" "); ok {
				_, err = fmt.Sscan(text, &value)
			}
		}
		return err
	})
	return value
}

// dropped is how many verdicts the agent has voided since it started, because it was not fit to measure.
func dropped(t testing.TB, a *rig.Agent) float64 {
	t.Helper()
	const metric = "eru_agent_verdicts_dropped_total"
	return count(t, a, metric+`{why="starved"}`) + count(t, a, metric+`{why="own_fault"}`)
}
