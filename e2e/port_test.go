package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// What docs/operating.md says that the port costs an agent at most.
const (
	mostPlaces = 256
	mostMemory = 64 << 20
)

// TestAThousandSlowClients keeps a thousand connections to a real agent's port open that get nothing done, while it is asked
// for its figures and its verdicts are awaited. It may have few descriptors.
func TestAThousandSlowClients(t *testing.T) {
	t.Parallel()
	n := r.Node(t, etcdtest.Start(t))
	a := n.StartAs("", rig.FewDescriptors(mostPlaces+128)).AwaitReady() // the unit grants 16384
	c := n.Run("shop", rig.HTTP)
	c.Await("healthy")
	for _, path := range []string{"/", "/metrics", "/status"} {
		answers(t, a, path)
	}
	before, most := measure(t, a), consumption{}
	stop := rig.SlowClients(t, a.API(), 1000)
	rig.Await(t, "a thousand clients to be cut", func() error {
		cut, err := a.Metric("eru_agent_http_connections_cut_total")
		if err == nil && cut < 1000 {
			err = fmt.Errorf("%.0f were cut", cut)
		}
		return err
	})
	for _, turn := range []struct{ mode, state string }{{"500", "unhealthy"}, {"ok", "healthy"}} {
		c.Behave(turn.mode)
		c.Await(turn.state)
		for _, path := range []string{"/healthz", "/readyz", "/", "/explain?container=" + c.ID} {
			answers(t, a, path)
		}
		now := measure(t, a)
		most = consumption{max(most.memory, now.memory), max(most.open, now.open)}
	}
	t.Logf("memory %.1f MiB before, %.1f at most; descriptors %.0f before, %.0f at most", before.memory/(1<<20), most.memory/(1<<20), before.open, most.open)
	if grown := most.memory - before.memory; grown > mostMemory {
		t.Errorf("memory has grown by %.0f KiB, at most %d are said", grown/1024, mostMemory>>10)
	}
	if most.open < mostPlaces {
		t.Errorf("%.0f descriptors are open: the places were not taken, and nothing is shown", most.open)
	}
	stop()
	rig.Await(t, "the descriptors to be given back", func() error {
		now := measure(t, a)
		if now.open > before.open+8 { // probes under way
			return fmt.Errorf("%.0f are open, %.0f were", now.open, before.open)
		}
		return nil
	})
	if strings.Contains(a.Err.String(), "too many open files") {
		t.Error("it lacked descriptors")
	}
}

// answers holds that a path is answered well, in the end: one request may have to give way to slow clients.
func answers(t *testing.T, a *rig.Agent, path string) {
	t.Helper()
	rig.Await(t, path+" to be answered", func() error {
		code, body, err := a.Get(path)
		if err == nil && (code != http.StatusOK || body == "") {
			t.Fatalf("%s: %d, %q", path, code, body)
		}
		return err
	})
}

// consumption is what an agent has of its node, as it says itself.
type consumption struct{ memory, open float64 }

func measure(t *testing.T, a *rig.Agent) consumption {
	t.Helper()
	var now consumption
	rig.Await(t, "the agent to say what it has", func() error {
		var err, err2 error
		now.memory, err = a.Metric("process_resident_memory_bytes")
		now.open, err2 = a.Metric("process_open_fds")
		return errors.Join(err, err2)
	})
	return now
}
