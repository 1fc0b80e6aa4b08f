package silence

import (
	"fmt"
	"syscall"
	"testing"
	"time"
)

// TestMonitorKilledMidway: the monitor dies while it looks at a dead host. The next one ends what it began.
func TestMonitorKilledMidway(t *testing.T) {
	f := newFleet(t, "host dead, monitor killed midway", 7, 1, of(2*time.Second, 10*time.Second))
	for range of(1, 3) {
		monitor := f.monitor(f.nodes...)
		n := f.but(monitor)[0]
		f.is(n.containers, "lost", "healthy")
		off(n)
		silent := n.awaitSilent()
		monitor.agent.Kill()
		f.row.note("lost %s after the session's end", seconds(f.settle(silent, n.containers)))
		f.row.happened(1, fmt.Sprintf("%d of %d lost", len(n.containers), len(n.containers)))
		f.monitor(f.but(monitor, n)...)
		monitor.awaitAsked(2)
		monitor.start()
		monitor.agent.AwaitReady()
		monitor.awaitSession()
		f.returns(n)
		n.awaitSession()
	}
}

// TestMonitorFrozenMidway: the monitor stands still while it looks at a dead host, another one takes its place, the host
// comes back, and only then it goes on with what it was about to do.
func TestMonitorFrozenMidway(t *testing.T) {
	f := newFleet(t, "host dead and back, monitor frozen midway", 7, 1, of(2*time.Second, 10*time.Second))
	for range of(1, 3) {
		monitor := f.monitor(f.nodes...)
		n := f.but(monitor)[0]
		f.is(n.containers, "lost", "healthy")
		off(n)
		silent := n.awaitSilent()
		monitor.agent.Signal(syscall.SIGSTOP)
		f.row.note("lost %s after the session's end", seconds(f.settle(silent, n.containers)))
		f.row.happened(1, fmt.Sprintf("%d of %d lost", len(n.containers), len(n.containers)))
		f.monitor(f.but(monitor, n)...)
		f.returns(n)
		n.awaitSession()
		monitor.agent.Signal(syscall.SIGCONT)
		monitor.awaitSession()
		wait(f.lostWithin())
	}
}

// TestMonitorCutMidway: what the monitor writes about a dead host is on its way to etcd when that way is cut. Another one
// takes its place, the host comes back, and only then the write arrives.
func TestMonitorCutMidway(t *testing.T) {
	f := newFleet(t, "host dead and back, monitor's write arrives late", 7, 1, 2*time.Second)
	for range of(1, 5) {
		monitor := f.monitor(f.nodes...)
		n := f.but(monitor)[0]
		f.is(n.containers, "lost", "healthy")
		off(n)
		silent := n.awaitSilent()
		wait(500 * time.Millisecond) // it has read what it needs, and waits for answers that do not come
		must(t, monitor.host.CutFrom(f.far...))
		f.row.note("lost %s after the session's end", seconds(f.settle(silent, n.containers)))
		f.row.happened(1, fmt.Sprintf("%d of %d lost", len(n.containers), len(n.containers)))
		f.returns(n)
		n.awaitSession()
		must(t, monitor.host.Heal())
		monitor.awaitSession()
		wait(f.lostWithin())
	}
}
