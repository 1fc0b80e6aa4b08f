package e2e

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// TestWholeLife sees a container through every state of an ordinary life.
func TestWholeLife(t *testing.T) {
	t.Parallel()
	eachEtcd(t, func(t *testing.T, start func(testing.TB, ...etcdtest.Option) *etcdtest.Server) {
		n := r.Node(t, start(t))
		n.Start().AwaitReady()
		c := n.Run("shop", rig.HTTP, "--env=START_DELAY=1s", "--env=TERM=linger:1s") // long enough that each state is written
		c.Await("healthy")
		c.Behave("500")
		if s := c.Await("unhealthy"); s.Reason != "http_code" || s.Detail != "http :80/: 500, want 200-399" {
			t.Errorf("500 is told as %q, %q", s.Reason, s.Detail)
		}
		c.Behave("ok")
		c.Await("healthy")
		c.Docker("stop")
		if s := c.Await("stopped"); s.Reason != "exited" || s.Running || s.Healthy {
			t.Errorf("stopped: %+v", s)
		}
		c.AwaitStatus("exit code", func(s rig.Status) bool { return s.Detail == "exit code 0" })
		c.Docker("rm")
		c.AwaitGone()
		want := []string{"starting", "healthy", "unhealthy", "healthy", "draining", "stopped", rig.Gone}
		if got := c.States(); !slices.Equal(got, want) {
			t.Errorf("states %v, want %v", got, want)
		}
		checkContract(t, n, c)
	})
}

// checkContract holds every value that was published of c against the contract.
func checkContract(t *testing.T, n *rig.Node, c *rig.Container) {
	t.Helper()
	var seq uint64
	var since time.Time
	state := ""
	for _, e := range c.Events() {
		if want := "status/shop/web/" + n.Name + "/" + c.ID; e.Key != want || e.Lease != 0 {
			t.Errorf("key %q with lease %x, want %q without", e.Key, e.Lease, want)
		}
		if e.Deleted() {
			continue
		}
		s := e.Status(t)
		checkFields(t, e.Value, s)
		switch {
		case s.ID != c.ID, s.Name != c.Name, s.V != 1:
			t.Errorf("revision %d: id %q, name %q, v %d", e.Revision, s.ID, s.Name, s.V)
		case s.Healthy != (s.State == "healthy"), s.Running != (s.State != "stopped"):
			t.Errorf("revision %d: state %s, healthy %t, running %t", e.Revision, s.State, s.Healthy, s.Running)
		case s.Seq <= seq:
			t.Errorf("revision %d: seq %d after %d", e.Revision, s.Seq, seq)
		case s.State != state && !s.Since.After(since), s.State == state && !s.Since.Equal(since):
			t.Errorf("revision %d: %s since %v, after %s since %v", e.Revision, s.State, s.Since, state, since)
		}
		seq, since, state = s.Seq, s.Since, s.State
		checkFacts(t, s)
	}
}

// checkFields makes sure that a value has the contract's fields and no other.
func checkFields(t *testing.T, value []byte, s rig.Status) {
	t.Helper()
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(value, &fields); err != nil {
		t.Fatal(err)
	}
	want := []string{"check", "endpoints", "extension", "healthy", "id", "name", "networks", "running", "seq", "since", "started", "state", "v"}
	if s.Reason != "" {
		want = append(want, "reason")
	}
	if s.Detail != "" {
		want = append(want, "detail")
	}
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(fields)); !slices.Equal(got, want) {
		t.Errorf("%s has fields %v, want %v", s.State, got, want)
	}
	if _, err := time.Parse(time.RFC3339Nano, strings.Trim(string(fields["since"]), `"`)); err != nil {
		t.Error(err)
	}
}

// checkFacts looks at what does not change in the life of a container on the default bridge with one probed port.
func checkFacts(t *testing.T, s rig.Status) {
	t.Helper()
	addr, err := netip.ParseAddr(s.Networks["bridge"])
	if err != nil || len(s.Networks) != 1 {
		t.Errorf("%s: networks %v", s.State, s.Networks)
	}
	if want := map[string]string{"80": netip.AddrPortFrom(addr, 80).String()}; !maps.Equal(s.Endpoints, want) {
		t.Errorf("%s: endpoints %v, want %v", s.State, s.Endpoints, want)
	}
	text, err := base64.StdEncoding.DecodeString(s.Extension)
	var labels map[string]string
	if err != nil || json.Unmarshal(text, &labels) != nil {
		t.Errorf("%s: extension %q: %v", s.State, s.Extension, err)
	}
	if labels["eru.health.http.port"] != "80" || labels["eru.app"] != "shop" {
		t.Errorf("%s: labels %v", s.State, labels)
	}
}

// TestNodeRecord looks at the two records that a node has beside its containers.
func TestNodeRecord(t *testing.T) {
	t.Parallel()
	n := r.Node(t, etcdtest.Start(t))
	a := n.Start("--pod", "blue").AwaitReady()
	n.Catch()
	record, _ := n.Last("status:node/" + n.Name)
	owner, _ := n.Last("agent/" + n.Name)
	var got struct {
		Nodename, Podname string
		Alive             bool
		Agent             struct{ Instance, Version, Machine, State string }
	}
	var held struct {
		Instance string
		Sequence uint64
	}
	if err := json.Unmarshal(record.Value, &got); err != nil {
		t.Fatalf("%s: %v", record.Value, err)
	}
	if err := json.Unmarshal(owner.Value, &held); err != nil {
		t.Fatalf("%s: %v", owner.Value, err)
	}
	if got.Nodename != n.Name || got.Podname != "blue" || !got.Alive || got.Agent.State != "running" || got.Agent.Version != rig.Version || got.Agent.Machine == "" {
		t.Errorf("node record %s", record.Value)
	}
	if record.Lease == 0 || owner.Lease != 0 {
		t.Errorf("node record with lease %x, owner record with %x: want one and none", record.Lease, owner.Lease)
	}
	if held.Instance != got.Agent.Instance || held.Sequence == 0 {
		t.Errorf("owner record %s beside %s", owner.Value, record.Value)
	}
	for _, path := range []string{"/healthz", "/readyz", "/status", "/metrics", "/"} {
		if code, body, err := a.Get(path); code != 200 || err != nil {
			t.Errorf("%s: %d %s %v", path, code, body, err)
		}
	}
	if code, _, _ := a.Get("/debug/pprof/"); code != 404 {
		t.Errorf("pprof answers with %d, without being asked for", code)
	}
}

// TestFates lets containers meet what an ordinary life does not have.
func TestFates(t *testing.T) {
	t.Parallel()
	node := r.Node(t, etcdtest.Start(t))
	node.Start().AwaitReady()
	for _, fate := range []struct {
		name   string
		flags  []string
		suffer func(t *testing.T, n *rig.Node, c *rig.Container)
		states []string // after healthy
		brief  string   // a state that a newer word may overtake
	}{
		{name: "paused", flags: []string{"--label=eru.health.tcp.ports=80"}, // which a paused container goes on accepting
			suffer: paused, states: []string{"paused", "healthy"}},
		{name: "killed", suffer: killed, states: []string{"stopped"}, brief: "draining"},
		{name: "crashed", suffer: crashed, states: []string{"stopped"}},
		{name: "out-of-memory", flags: []string{"--memory=16m", "--memory-swap=16m"}, suffer: outOfMemory, states: []string{"stopped"}},
		{name: "restarted", flags: []string{"--restart=always"}, suffer: restarted, states: []string{"stopped", "healthy"}},
		{name: "outlived", flags: []string{"--env=TERM=ignore", "--stop-timeout=1"}, suffer: outlived, states: []string{"draining", "healthy"}},
		{name: "removed", suffer: removed, states: []string{"stopped", rig.Gone}, brief: "draining"},
	} {
		t.Run(fate.name, func(t *testing.T) {
			t.Parallel()
			n := node.In(t)
			c := n.Run(fate.name, append(fate.flags, rig.HTTP)...)
			c.Await("healthy")
			fate.suffer(t, n, c)
			got := slices.DeleteFunc(c.Course(), func(s string) bool { return s == fate.brief })
			if want := append([]string{"healthy"}, fate.states...); !slices.Equal(got, want) {
				t.Errorf("states %v, want %v", got, want)
			}
		})
	}
}

func paused(_ *testing.T, _ *rig.Node, c *rig.Container) {
	c.Docker("pause")
	c.Await("paused")
	c.Docker("unpause")
	c.Await("healthy")
}

func killed(_ *testing.T, _ *rig.Node, c *rig.Container) {
	c.Docker("kill")
	c.AwaitStatus("its end by SIGKILL", func(s rig.Status) bool {
		return s.State == "stopped" && s.Reason == "exited" && s.Detail == "exit code 137 (SIGKILL)"
	})
}

func crashed(_ *testing.T, _ *rig.Node, c *rig.Container) {
	c.Behave("exit=3")
	c.AwaitStatus("its end with code 3", func(s rig.Status) bool { return s.State == "stopped" && s.Detail == "exit code 3" })
}

// outOfMemory holds that the agent knows what Docker knows: containerd reads of a kill for lack of memory in the container's
// control group, and when that is removed before it has, on a busy machine, nobody knows more than the signal.
func outOfMemory(_ *testing.T, _ *rig.Node, c *rig.Container) {
	c.Behave("eat")
	c.AwaitStatus("its end by SIGKILL", func(s rig.Status) bool { return s.State == "stopped" && s.Detail == "exit code 137 (SIGKILL)" })
	c.AwaitStatus("the reason that Docker has", func(s rig.Status) bool {
		want := map[string]string{"true": "oom", "false": "exited"}[c.Docker("inspect", "--format={{.State.OOMKilled}}")]
		return s.Reason == want
	})
}

func restarted(t *testing.T, _ *rig.Node, c *rig.Container) {
	first := c.Await("healthy")
	c.Behave("exit=3")
	second := c.AwaitStatus("second life", func(s rig.Status) bool { return s.State == "healthy" && s.Started.After(first.Started) })
	if !second.Since.After(first.Since) {
		t.Errorf("healthy since %v, in the life before since %v", second.Since, first.Since)
	}
}

func outlived(_ *testing.T, _ *rig.Node, c *rig.Container) {
	c.Docker("kill", "--signal=TERM")
	c.Await("draining")
	c.Await("healthy")
}

func removed(_ *testing.T, _ *rig.Node, c *rig.Container) {
	c.Docker("rm", "--force")
	c.AwaitGone()
}

// TestRemovedWhileAway lets containers go away while no agent is there.
func TestRemovedWhileAway(t *testing.T) {
	t.Parallel()
	n := r.Node(t, etcdtest.Start(t))
	a := n.Start().AwaitReady()
	gone, stopped := n.Run("removed", rig.HTTP), n.Run("stopped", rig.HTTP)
	gone.Await("healthy")
	stopped.Await("healthy")
	a.Kill()
	gone.Docker("rm", "--force")
	stopped.Docker("kill")
	n.Start().AwaitReady()
	gone.AwaitGone()
	stopped.Await("stopped")
	for c, want := range map[*rig.Container][]string{
		gone:    {"healthy", "stopped", rig.Gone},
		stopped: {"healthy", "stopped"},
	} {
		if got := c.Course(); !slices.Equal(got, want) {
			t.Errorf("%s: states %v, want %v", c.Name, got, want)
		}
	}
}
