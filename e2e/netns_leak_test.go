package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// inner is what an agent holds that enters namespaces.
type inner struct {
	threads, descriptors int
	open                 int // namespaces that it holds open
	away                 int // threads that are in another than its own
}

func innerOf(a *rig.Agent) inner {
	proc := fmt.Sprintf("/proc/%d", a.Pid())
	home, _ := os.Readlink("/proc/self/ns/net")
	var i inner
	descriptors, _ := os.ReadDir(proc + "/fd")
	threads, _ := filepath.Glob(proc + "/task/*/ns/net")
	i.threads, i.descriptors = len(threads), len(descriptors)
	for _, d := range descriptors {
		if to, err := os.Readlink(proc + "/fd/" + d.Name()); err == nil && strings.HasPrefix(to, "net:") && to != home {
			i.open++
		}
	}
	for _, thread := range threads {
		if in, err := os.Readlink(thread); err == nil && in != home { // else it has ended
			i.away++
		}
	}
	return i
}

// TestInsideHoldsNothing makes 1,000 probes from inside and ends lives: threads and descriptors stay as few, and nothing of a
// namespace stays with the agent whose container is dead.
func TestInsideHoldsNothing(t *testing.T) {
	t.Parallel()
	n := r.Node(t, etcdtest.Start(t))
	a := n.Start(netns).AwaitReady()
	c := n.Run("inside", "--network=none", viaNetns, "--env=PORTS=80,81,82,83,84,85", "--label=eru.health.interval=100ms",
		rig.HTTP, "--label=eru.health.tcp.ports=80,81,82,83,84,85")
	c.Await("healthy")
	probes := func() float64 {
		t.Helper()
		n, err := a.Metric("eru_agent_probes_total")
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	probed := func(more float64) {
		t.Helper()
		first := probes()
		rig.Await(t, fmt.Sprintf("%v probes", more), func() error {
			if made := probes() - first; made < more {
				return fmt.Errorf("%v were made", made)
			}
			return nil
		})
	}
	probed(100)
	before := innerOf(a)
	probed(1000)
	after := innerOf(a)
	t.Logf("before %+v, after %+v", before, after)
	if after.open != 1 || after.threads > before.threads+spare || after.descriptors > before.descriptors+spare {
		t.Errorf("before %+v, after %+v, with one container", before, after)
	}

	for range 5 {
		was := c.Await("healthy").Started
		c.Docker("restart", "--time=0")
		c.AwaitStatus("another life", func(s rig.Status) bool { return s.State == "healthy" && s.Started.After(was) })
		if now := innerOf(a); now.open != 1 {
			t.Errorf("%d namespaces are open, with one container", now.open)
		}
	}
	c.Docker("kill")
	c.Await("stopped")
	rig.Await(t, "the agent to be out of it", func() error {
		if now := innerOf(a); now.open > 0 || now.away > 0 {
			return fmt.Errorf("%+v", now)
		}
		return nil
	})
}

// spare is what the runtime and connections may make of a difference.
const spare = 10
