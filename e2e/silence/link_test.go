package silence

import (
	"testing"
	"time"
)

// TestCutFromEtcd: a node is cut off from etcd alone. Its session ends; its agent and its containers live.
func TestCutFromEtcd(t *testing.T) {
	f := newFleet(t, "link to etcd cut", 4, 1, of(2*time.Second, 10*time.Second))
	n := f.but(f.monitor(f.nodes...))[0]
	must(t, n.host.CutFrom(f.far...))
	n.awaitSilent()
	wait(f.lostWithin())
	f.row.happened(1, "")
	// What fails meanwhile is known to the agent, which cannot say it, and to the monitor, which can.
	routed := n.containers[1:2]
	f.is(routed, "unhealthy", "healthy")
	at := time.Now()
	n.behave(routed[0], "500")
	f.row.right(f.settle(at, routed), 0)
	f.row.happened(0, "1 that failed meanwhile")
	must(t, n.host.Heal())
	n.awaitSession()
	f.is(routed, "healthy", "unhealthy")
	n.behave(routed[0], "ok")
	f.settle(time.Now(), routed)
}

// TestCutFromNodes: a node is cut off from the other nodes, and reaches etcd. Nothing is silent.
func TestCutFromNodes(t *testing.T) {
	f := newFleet(t, "link to other nodes cut", 4, 1, of(2*time.Second, 10*time.Second))
	n := f.but(f.monitor(f.nodes...))[0]
	for _, other := range f.but(n) {
		must(t, n.host.CutFrom(other.host))
	}
	wait(2 * f.lostWithin())
	f.row.happened(1, "")
	// The node goes on as ever.
	f.is(n.containers[:1], "unhealthy", "healthy")
	n.behave(n.containers[0], "500")
	f.settle(time.Now(), n.containers[:1])
	f.is(n.containers[:1], "healthy", "unhealthy")
	n.behave(n.containers[0], "ok")
	f.settle(time.Now(), n.containers[:1])
	f.row.happened(0, "1 that failed, by its own agent")
}

// TestMonitorCutFromNodes: the monitor itself is cut off from all other nodes while an agent dies. To it that looks like a
// dead host; but so does every other.
func TestMonitorCutFromNodes(t *testing.T) {
	f := newFleet(t, "monitor cut from all nodes, an agent dead", 4, 1, of(2*time.Second, 10*time.Second))
	monitor := f.monitor(f.nodes...)
	others := f.but(monitor)
	for _, other := range others {
		must(t, monitor.host.CutFrom(other.host))
	}
	others[0].agent.Kill()
	others[0].awaitSilent()
	wait(f.lostWithin())
	guarded(f.row, monitor)
	f.row.happened(1, "")
	must(t, monitor.host.Heal())
	others[0].awaitAsked(2)
	others[0].start()
	others[0].agent.AwaitReady()
}
