package e2e

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// onEtcd are the arguments of a command that is typed where there is no agent, but the way to a node's etcd.
func onEtcd(n *rig.Node, args ...string) []string {
	return append(args, "--etcd.endpoints", n.Endpoint(), "--etcd.prefix", n.Prefix)
}

// operate types a command that has to go well, and returns what it says.
func operate(t *testing.T, n *rig.Node, args ...string) string {
	t.Helper()
	out, errs, code := r.Exec(t, onEtcd(n, args...)...)
	if code != 0 {
		t.Fatalf("%v: exit code %d, %s%s", args, code, out, errs)
	}
	return out
}

// refused types a command whose answer is no, and compares why.
func refused(t *testing.T, n *rig.Node, pattern string, args ...string) {
	t.Helper()
	out, errs, code := r.Exec(t, onEtcd(n, args...)...)
	if code != 1 || !regexp.MustCompile(pattern).MatchString(errs) {
		t.Errorf("%v: exit code %d, %s%s; want 1 and %s", args, code, out, errs, pattern)
	}
}

// TestDrainAndBack takes a container out and in again, while it is well and while it is not.
func TestDrainAndBack(t *testing.T) {
	t.Parallel()
	eachEtcd(t, func(t *testing.T, start func(testing.TB, ...etcdtest.Option) *etcdtest.Server) {
		n := r.Node(t, start(t))
		a := n.Start().AwaitReady()
		c := n.Run("shop", rig.HTTP)
		other := n.Run("shop", rig.HTTP)
		c.Await("healthy")
		other.Await("healthy")

		said := operate(t, n, "drain", c.Name, "--reason", "a new\x1b[31m disk")
		if want := c.Name + " (" + c.ID[:12] + ") of node " + n.Name + " is drained until "; !strings.HasPrefix(said, want) || !strings.HasSuffix(said, "; to take it back: eru-agent undrain "+c.ID[:12]+"\n") {
			t.Errorf("it says %q", said)
		}
		s := c.Await("draining")
		if !regexp.MustCompile(`^by .+@.+: a new\?\[31m disk, until \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$`).MatchString(s.Detail) || s.Reason != "drain" || s.Healthy || !s.Running {
			t.Errorf("drained: %+v", s)
		}
		for _, line := range []string{
			`(?m)^draining +shop +web .*` + c.ID[:12] + `.* drain by .*: a new\?\[31m disk, until `,
			`(?m)^` + c.ID[:12] + ` +` + n.Name + ` .* 9m\d\ds +a new\?\[31m disk$`,
		} {
			if table := operate(t, n, "status"); !regexp.MustCompile(line).MatchString(table) {
				t.Errorf("no line %s in\n%s", line, table)
			}
		}
		operate(t, n, "undrain", c.ID[:12])
		c.Await("healthy")

		operate(t, n, "drain", c.ID, "--for", "0")
		if s := c.Await("draining"); !strings.HasSuffix(s.Detail, ", until it is taken back") {
			t.Errorf("without an end: %+v", s)
		}
		c.Behave("500") // probing goes on
		probed(t, a, 5)
		operate(t, n, "undrain", c.ID)
		if s := c.Await("unhealthy"); s.Reason != "http_code" {
			t.Errorf("not drained any more: %+v", s)
		}
		c.Behave("ok")
		c.Await("healthy")
		want := []string{"healthy", "draining", "healthy", "draining", "unhealthy", "healthy"}
		if got := c.Course(); !slices.Equal(got, want) {
			t.Errorf("states %v, want %v", got, want)
		}
		if got := other.Course(); !slices.Equal(got, []string{"healthy"}) {
			t.Errorf("the other one went through %v", got)
		}
		checkContract(t, n, c)
	})
}

// probed returns once the agent has made so many more probes.
func probed(t *testing.T, a *rig.Agent, more float64) {
	t.Helper()
	before, err := a.Metric("eru_agent_probes_total")
	if err != nil {
		t.Fatal(err)
	}
	rig.Await(t, "more probes", func() error {
		now, err := a.Metric("eru_agent_probes_total")
		if err == nil && now < before+more {
			err = fmt.Errorf("%v probes, %v before", now, before)
		}
		return err
	})
}

// TestDrainCommandsThatAreRefused asks for what cannot be.
func TestDrainCommandsThatAreRefused(t *testing.T) {
	t.Parallel()
	n := r.Node(t, etcdtest.Start(t))
	n.Start().AwaitReady()
	c := n.Run("shop", rig.HTTP)
	c.Await("healthy")
	refused(t, n, `^eru-agent: no container is called "nobody" in etcd, and no ID begins so; eru-agent status shows them\n$`, "drain", "nobody")
	refused(t, n, `^eru-agent: no node is called "nowhere" in etcd; there are `+n.Name+`\n$`, "drain", "--node", "nowhere")
	refused(t, n, `^eru-agent: `+c.Name+` \(.*\) of node .* is not drained itself\n$`, "undrain", c.Name)
	operate(t, n, "drain", "--node", n.Name)
	c.Await("draining")
	refused(t, n, `is not drained itself; its node is drained by .+@.+ until .+: eru-agent undrain --node `+n.Name+` takes that back\n$`, "undrain", c.Name)

	operate(t, n, "drain", c.Name)
	c.Docker("rm", "--force")
	c.AwaitGone()
	if said := operate(t, n, "undrain", c.ID[:12]); !strings.Contains(said, "its node is drained by") {
		t.Errorf("of a container that is gone it says %q", said)
	}
}

// TestDrainEndsByItself lets the end of a drain come while the agent, or etcd, is away.
func TestDrainEndsByItself(t *testing.T) {
	t.Parallel()
	eachEtcd(t, func(t *testing.T, start func(testing.TB, ...etcdtest.Option) *etcdtest.Server) {
		etcd := start(t)
		course := []string{"healthy", "draining", "healthy"}
		t.Run("agents come and go", func(t *testing.T) {
			n := r.Node(t, etcd)
			a := n.Start().AwaitReady()
			c := n.Run("shop", rig.HTTP)
			c.Await("healthy")
			operate(t, n, "drain", c.ID, "--for", "1h")
			c.Await("draining")
			since := n.Catch()
			for range 3 {
				a.Kill()
				a = n.Start().AwaitReady()
				verified(t, a, 1)
			}
			unchanged(t, n, since)
			operate(t, n, "drain", c.ID, "--for", "2s") // another end, and with it another detail
			c.Await("healthy")
			wantCourse(t, c, course)
		})
		t.Run("the agent is away", func(t *testing.T) {
			n := r.Node(t, etcd)
			a := n.Start().AwaitReady()
			c := n.Run("shop", rig.HTTP)
			c.Await("healthy")
			operate(t, n, "drain", c.ID, "--for", "2s")
			c.Await("draining")
			a.Kill()
			awaitEnd(t, n, c)
			n.Start().AwaitReady()
			c.Await("healthy")
			wantCourse(t, c, course)
		})
		t.Run("etcd is away", func(t *testing.T) {
			proxy := etcdtest.NewProxy(t, etcd.Address())
			n := r.NodeAt(t, "http://"+proxy.Address(), clientv3.Config{Endpoints: []string{etcd.Endpoint()}})
			a := n.Start("--etcd.timeout", "300ms").AwaitReady()
			c := n.Run("shop", rig.HTTP)
			c.Await("healthy")
			operate(t, n, "drain", c.ID, "--for", "3s")
			c.Await("draining")
			proxy.Hold()
			a.AwaitKnows(c, "healthy") // by its own clock
			awaitEnd(t, n, c)
			proxy.Resume()
			c.Await("healthy")
			wantCourse(t, c, course)
		})
	})
}

func wantCourse(t *testing.T, c *rig.Container, course []string) {
	t.Helper()
	if got := c.Course(); !slices.Equal(got, course) {
		t.Errorf("states %v, want %v", got, course)
	}
}

// awaitEnd returns once etcd has ended the drain of c.
func awaitEnd(t *testing.T, n *rig.Node, c *rig.Container) {
	t.Helper()
	key := "drain/" + n.Name + "/" + c.ID
	n.Await(t, "the end of the drain", func() bool {
		e, ok := n.Last(key)
		return ok && e.Deleted()
	}, func() string { return "it still stands" })
}

// TestDrainOfANode takes out all that a node runs and will run, and then stops a container as one does before a shutdown.
func TestDrainOfANode(t *testing.T) {
	t.Parallel()
	n := r.Node(t, etcdtest.Start(t))
	n.Start().AwaitReady()
	all := many(n, 3, rig.HTTP)
	operate(t, n, "drain", "--node", n.Name, "--reason", "kernel", "--wait", "--timeout", "1m")
	for _, c := range all {
		s := c.Await("draining")
		if !strings.HasPrefix(s.Detail, "whole node, by ") {
			t.Errorf("%s: %+v", c.Name, s)
		}
	}
	later := n.Run("shop", rig.HTTP, "--env=TERM=linger:500ms")
	later.Await("draining")
	operate(t, n, "drain", later.ID, "--for", "0")
	later.AwaitStatus("its own drain", func(s rig.Status) bool { return strings.HasPrefix(s.Detail, "by ") })
	operate(t, n, "undrain", "--node", n.Name)
	for _, c := range all {
		c.Await("healthy")
		wantCourse(t, c, []string{"healthy", "draining", "healthy"})
	}
	later.Docker("stop")
	later.Await("stopped")
	wantCourse(t, later, []string{"draining", "stopped"})
	reasons := map[string]bool{}
	for _, e := range later.Events() {
		reasons[e.Status(t).Reason] = true
	}
	if !reasons["drain"] || !reasons["stop_signal"] {
		t.Errorf("the one that was stopped went for %v", reasons)
	}
	later.Docker("start")
	later.Await("draining") // another life, the same wish
	later.Docker("rm", "--force")
	later.AwaitGone()
}

// TestGarbageAmongDrains writes what is no wish beside one that is.
func TestGarbageAmongDrains(t *testing.T) {
	t.Parallel()
	n := r.Node(t, etcdtest.Start(t))
	here := "drain/" + n.Name + "/"
	n.Put(here+"before", "{")
	a := n.Start().AwaitReady()
	c := n.Run("shop", rig.HTTP)
	c.Await("healthy")
	since := n.Catch()
	n.Put(here+c.ID, "no wish")
	n.Put(here+"*", `{"until":"some day"}`)
	n.Put(here+"large", `{"by":"`+strings.Repeat("x", 1<<20)+`"}`)
	n.Put(here+"a/b", "{}")
	n.Put(here+"0123456789ab", `{"by":"ops"}`)
	n.Put("drain/other/"+c.ID, `{"by":"ops"}`)
	ignored := func(least float64) {
		rig.Await(t, "garbage to be counted", func() error {
			got, err := a.Metric("eru_agent_drains_ignored_total")
			if err == nil && got < least {
				err = fmt.Errorf("counted %v times, want %v", got, least)
			}
			return err
		})
	}
	ignored(6)
	n.Put(here+c.ID, "no wish either")
	ignored(7)
	unchanged(t, n, since)
	if said := strings.Count(a.Err.String(), here+c.ID); said != 1 {
		t.Errorf("its key is named %d times", said)
	}
	n.Put(here+c.ID, `{"by":"ops","until":"`+time.Now().Add(time.Hour).UTC().Format(time.RFC3339)+`"}`)
	c.Await("draining")
	n.Put(here+c.ID, "no wish")
	operate(t, n, "undrain", c.ID)
	c.Await("healthy")
}
