package agent_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/watcher"
)

// counts compares all series of one metric.
func (r *rig) counts(name, want string) {
	r.t.Helper()
	var b strings.Builder
	for line := range strings.Lines(want) {
		b.WriteString(strings.TrimSpace(line) + "\n")
	}
	families, err := r.reg.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	head := ""
	for _, f := range families {
		if f.GetName() == name && strings.TrimSpace(want) != "" {
			head = "# HELP " + name + " " + f.GetHelp() + "\n# TYPE " + name + " " + strings.ToLower(f.GetType().String()) + "\n"
		}
	}
	if err := testutil.GatherAndCompare(r.reg, strings.NewReader(head+strings.TrimLeft(b.String(), "\n")), name); err != nil {
		r.t.Error(err)
	}
}

func (r *rig) population(want map[status.State]int) {
	r.t.Helper()
	var b strings.Builder
	for _, s := range []status.State{
		status.StateDraining, status.StateHealthy, status.StateInvalid, status.StateLost,
		status.StatePaused, status.StateStarting, status.StateStopped, status.StateUnhealthy,
	} {
		b.WriteString("eru_agent_containers{state=\"" + string(s) + "\"} " + string(rune('0'+want[s])) + "\n")
	}
	r.counts("eru_agent_containers", b.String())
}

func TestSeriesVanishWithTheLastContainerOfAService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t)
		c1, c2 := box("c1", probedLabels()), box("c2", probedLabels())
		other := box("c3", plainLabels())
		other.Name = "other"
		r.running(c1)
		r.running(c2)
		r.running(other)
		r.passes("c1")
		r.passes("c2")
		r.fails("c2", "timeout")
		r.population(map[status.State]int{"healthy": 2, "unhealthy": 1})
		r.counts("eru_agent_transitions_total", `
			eru_agent_transitions_total{app="other",entrypoint="other",reason="",to="healthy"} 1
			eru_agent_transitions_total{app="web",entrypoint="web",reason="",to="healthy"} 2
			eru_agent_transitions_total{app="web",entrypoint="web",reason="timeout",to="unhealthy"} 1
		`)
		r.exited(c1, watcher.Exit{})
		r.removed("c1")
		r.population(map[status.State]int{"healthy": 1, "unhealthy": 1})
		r.exited(c2, watcher.Exit{})
		r.removed("c2")
		r.counts("eru_agent_transitions_total", `
			eru_agent_transitions_total{app="other",entrypoint="other",reason="",to="healthy"} 1
		`)
		other.Name = "another" // the old name's series go, too
		r.running(other)
		r.counts("eru_agent_transitions_total", "")
		r.exited(other, watcher.Exit{})
		r.removed("c3")
		r.population(nil)
		r.counts("eru_agent_transitions_total", "")
	})
}

// A service of one container that restarts must not lose its count: flapping
// would not be seen.
func TestTransitionsOutliveARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t)
		c := box("c1", plainLabels())
		for range 3 {
			c.Started = time.Now()
			r.running(c)
			r.exited(c, watcher.Exit{})
			elapse(time.Second)
		}
		r.counts("eru_agent_transitions_total", `
			eru_agent_transitions_total{app="web",entrypoint="web",reason="",to="healthy"} 3
			eru_agent_transitions_total{app="web",entrypoint="web",reason="exited",to="stopped"} 3
		`)
	})
}

func TestFoundStoppedDoesNotUnbalanceTheGauge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, state := range []status.State{status.StateStopped, status.StateLost, "of_tomorrow"} {
			r := newRig(t, nodeConfig())
			c := box("c1", plainLabels())
			r.adopt(foundOf(c, state, "exited"))
			r.running(c)
			r.population(map[status.State]int{"healthy": 1})
		}
	})
}
