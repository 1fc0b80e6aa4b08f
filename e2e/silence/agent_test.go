package silence

import (
	"fmt"
	"testing"
	"time"
)

// TestAgentKilled: nothing but the agent dies, again and again, the monitor's own included. Each time the node's containers
// are asked by another agent, and stay.
func TestAgentKilled(t *testing.T) {
	row := newRow(t, "agent dead, containers alive", "4 nodes, TTL 2s")
	for world := range of(1, 5) {
		t.Run(fmt.Sprint(world), func(t *testing.T) {
			f := newFleetOf(t, row, 4, 1, 2*time.Second)
			for i := range of(4, 20) {
				n := f.nodes[i%len(f.nodes)]
				n.agent.Kill()
				n.awaitSilent()
				n.awaitAsked(3)
				n.start()
				n.agent.AwaitReady()
				n.awaitSession()
				f.row.happened(1, "")
			}
		})
	}
}

// TestAgentStopped: as the last one, of an agent that has said that it stops and stays away for long.
func TestAgentStopped(t *testing.T) {
	f := newFleet(t, "agent stopped, containers alive", 4, 1, 2*time.Second)
	n := f.but(f.monitor(f.nodes...))[0]
	n.stop()
	n.awaitSilent()
	n.awaitAsked(3)
	f.row.happened(1, "")
	n.start()
	n.agent.AwaitReady()
}

// TestAllAgentsKilled: nobody is left to cut anything; and the first that comes back finds all others silent, with hosts that
// it does not even reach.
func TestAllAgentsKilled(t *testing.T) {
	f := newFleet(t, "all agents killed at once", 4, 1, of(2*time.Second, 10*time.Second))
	for range of(1, 3) {
		for _, n := range f.nodes {
			n.agent.Kill()
		}
		for _, n := range f.nodes {
			n.awaitSilent()
		}
		first := f.nodes[0]
		for _, other := range f.nodes[1:] {
			must(t, first.host.CutFrom(other.host))
		}
		first.start()
		first.agent.AwaitReady()
		f.monitor(first)
		wait(f.lostWithin())
		guarded(f.row, first)
		must(t, first.host.Heal())
		for _, n := range f.nodes[1:] {
			n.start()
		}
		for _, n := range f.nodes {
			n.agent.AwaitReady()
			n.awaitSession()
		}
		f.row.happened(1, "")
	}
}

// guarded fails the test unless a monitor says that it cuts nothing because too much is silent.
func guarded(r *row, n *node) {
	r.t.Helper()
	active, err := n.agent.Metric("eru_agent_selfmon_guard_active")
	if err != nil || active != 1 {
		r.t.Errorf("the guard of %s is %v, error %v", n.Name, active, err)
	}
	r.note("guard active")
}
