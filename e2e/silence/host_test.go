package silence

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// lostWithin is how long a dead host may take to be known as one.
func (f *fleet) lostWithin() time.Duration { return f.ttl + 2*time.Second }

// dies switches a host off, and waits until all its containers are lost.
func (f *fleet) dies(n *node) {
	f.t.Helper()
	f.is(n.containers, "lost", "healthy")
	at := off(n)
	f.row.right(f.settle(at, n.containers), f.lostWithin())
	f.row.happened(1, fmt.Sprintf("%d of %d lost", len(n.containers), len(n.containers)))
}

// returns switches a host on again, with the same containers, and waits until they are healthy.
func (f *fleet) returns(n *node) time.Duration {
	f.t.Helper()
	n.on()
	f.is(n.containers, "healthy", "lost")
	at := time.Now()
	n.start()
	return f.settle(at, n.containers)
}

// TestHostDead: all processes of a host are gone, and its cable. The monitor's own host has containers at the same bridge
// addresses as those that are lost, and they answer.
func TestHostDead(t *testing.T) {
	f := newFleet(t, "host dead", 4, 1, of(2*time.Second, 10*time.Second))
	for range of(1, 3) {
		n := f.but(f.monitor(f.nodes...))[0]
		f.dies(n)
		f.row.note("back after %s", seconds(f.returns(n)))
		n.awaitSession()
	}
}

// TestHostRestarted: the host comes back seconds later with new processes in the same containers.
func TestHostRestarted(t *testing.T) {
	f := newFleet(t, "host dead, restarted seconds later", 4, 1, of(2*time.Second, 10*time.Second))
	n := f.but(f.monitor(f.nodes...))[1]
	f.dies(n)
	for _, c := range n.containers {
		n.crowd.Die(c.ID, 255)
	}
	n.on()
	f.is(n.containers, "healthy", "lost", "stopped", "starting")
	at := time.Now()
	n.start()
	for _, c := range n.containers {
		n.crowd.Start(c.ID)
	}
	f.row.note("back after %s", seconds(f.settle(at, n.containers)))
}

// TestMonitorsHostDead: what watches goes with the host. Another one has to be elected first.
func TestMonitorsHostDead(t *testing.T) {
	f := newFleet(t, "the monitor's host dead", 4, 1, of(2*time.Second, 10*time.Second))
	for range of(1, 3) {
		n := f.monitor(f.nodes...)
		f.dies(n)
		f.monitor(f.but(n)...)
		f.returns(n)
		n.awaitSession()
	}
}

// TestStoppedThenHostDead: an agent that was asked to stop, as before a reboot, and does not come back because the host does
// not.
func TestStoppedThenHostDead(t *testing.T) {
	f := newFleet(t, "agent stopped, then host dead", 4, 1, of(2*time.Second, 10*time.Second))
	n := f.but(f.monitor(f.nodes...))[0]
	n.stop()
	f.is(n.containers, "lost", "healthy")
	at := off(n)
	f.row.note("lost %s after it was off", seconds(f.settle(at, n.containers)))
	f.row.happened(1, fmt.Sprintf("%d of %d lost", len(n.containers), len(n.containers)))
	f.returns(n)
}

// TestHostsDead: as many hosts as may be lost are dead at once.
func TestHostsDead(t *testing.T) {
	f := newFleet(t, "two hosts dead at once", 7, 1, of(2*time.Second, 10*time.Second))
	both := f.but(f.monitor(f.nodes...))[2:4]
	gone := slices.Concat(both[0].containers, both[1].containers)
	f.is(gone, "lost", "healthy")
	at := off(both...)
	f.row.right(f.settle(at, gone), f.lostWithin())
	f.row.happened(1, fmt.Sprintf("%d of %d lost", len(gone), len(gone)))
}

// TestTooManyHostsDead: one more is too many to be believed, until it is back.
func TestTooManyHostsDead(t *testing.T) {
	f := newFleet(t, "three hosts dead at once, one comes back", 7, 1, of(2*time.Second, 10*time.Second))
	monitor := f.monitor(f.nodes...)
	dead := f.but(monitor)[2:5]
	off(dead...)
	for _, n := range dead {
		n.awaitSilent()
	}
	wait(f.lostWithin())
	guarded(f.row, monitor)
	dead[2].on()
	gone := slices.Concat(dead[0].containers, dead[1].containers)
	f.is(gone, "lost", "healthy")
	at := time.Now()
	dead[2].start()
	f.row.note("the two others lost %s after that", seconds(f.settle(at, gone)))
	f.row.happened(1, fmt.Sprintf("%d of %d lost, then", len(gone), 3*len(dead[0].containers)))
}

// TestContainersFailWithoutTheAgent: the host lives on, and one of its containers fails. That one is cut, by who has asked
// it. A container at the same bridge's address fails on the monitor's own host: no other is cut for that.
func TestContainersFailWithoutTheAgent(t *testing.T) {
	f := newFleet(t, "agent dead, later a container", 4, 1, of(2*time.Second, 10*time.Second))
	monitor := f.monitor(f.nodes...)
	n := f.but(monitor)[2]
	n.agent.Kill()
	n.awaitSilent()
	n.awaitAsked(3)
	hidden := monitor.containers[3:4]
	f.is(hidden, "unhealthy", "healthy")
	monitor.behave(hidden[0], "500")
	f.settle(time.Now(), hidden)
	for i, c := range n.containers[:2] {
		only := n.containers[i : i+1]
		f.is(only, "unhealthy", "healthy")
		at := time.Now()
		n.behave(c, "500")
		f.row.right(f.settle(at, only), 0)
		if s := f.last(n, c); !strings.Contains(s.Detail, monitor.Name) {
			t.Errorf("%s does not say who saw it: reason %q, detail %q", c.Name, s.Reason, s.Detail)
		}
		f.is(only, "healthy", "unhealthy")
		n.behave(c, "ok")
		f.settle(time.Now(), only)
	}
	f.is(hidden, "healthy", "unhealthy")
	monitor.behave(hidden[0], "ok")
	f.settle(time.Now(), hidden)
	f.row.happened(1, "2 that failed")
	// What happens while no agent looks is the returning agent's to find.
	routed := n.containers[1:2]
	f.is(routed, "stopped", "healthy", "unhealthy")
	n.behave(routed[0], "reset")
	n.crowd.Die(routed[0].ID, 1)
	n.start()
	f.settle(time.Now(), routed)
}
