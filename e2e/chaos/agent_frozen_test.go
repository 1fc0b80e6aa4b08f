package chaos

import (
	"syscall"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// TestAgentFrozen stops the agent where it stands, with probes under way, while Docker and etcd go on.
func TestAgentFrozen(t *testing.T) {
	t.Parallel()
	row := newRow(t, ofAgent, "agent SIGSTOP "+short(of(3*time.Second, 10*time.Second)), "etcd 3.7, Docker")
	etcd := etcdtest.Start(t)
	n := r.Node(t, etcd)
	n.Flags = []string{"--healthcheck.timeout", "1s"}
	a := n.Start().AwaitReady()
	l := newLedger(row, n)
	network := "--network=" + n.Network("crew")
	all := crew(l, n, of(8, 20), network, "--env=MODE=slow=150ms")
	before := baseline(t, a)
	for i := range of(1, 2) {
		failed, died, restarted, paused := all[4*i], all[4*i+1], all[4*i+2], all[4*i+3]
		underWay(t, n)
		a.Signal(syscall.SIGSTOP)
		row.injected(1)
		thaw := time.After(of(3*time.Second, 10*time.Second)) // the fault itself
		l.is(failed.ID, "unhealthy")
		failed.Behave("500")
		l.dies(died.ID)
		died.Docker("kill")
		l.restarts(restarted.ID)
		restarted.Docker("restart", "--time=0")
		l.is(paused.ID, "paused")
		paused.Docker("pause")
		l.begins(n.Run("late", network, rig.HTTP).ID)
		etcd.Restart()
		<-thaw
		at := time.Now()
		a.Signal(syscall.SIGCONT)
		row.rightAfter(l.settle(at), 2*time.Second)
	}
	row.note("dropped verdicts %v", dropped(t, a))
	if dropped(t, a) == 0 {
		t.Error("no verdict was dropped, although probes were under way")
	}
	l.nothingNew()
	row.flat(a, before)
}

// underWay returns when most of a crew that answers slowly are being asked.
func underWay(t *testing.T, n *rig.Node) {
	t.Helper()
	n.Catch()
	<-time.After(300 * time.Millisecond) // an interval and half an answer, in which each was asked
}

// TestAgentFrozenForLong stops the agent for longer than its session in etcd lives.
func TestAgentFrozenForLong(t *testing.T) {
	t.Parallel()
	row := newRow(t, ofAgent, "agent SIGSTOP for longer than its session lives", "etcd 3.7, Docker")
	n := r.Node(t, etcdtest.Start(t))
	n.Flags = []string{"--etcd.session_ttl", of(2*time.Second, 10*time.Second).String()}
	a := n.Start().AwaitReady()
	l := newLedger(row, n)
	all := crew(l, n, 3, "--network="+n.Network("crew"))
	since, before := n.Catch(), baseline(t, a)
	node := "status:node/" + n.Name
	for range of(1, 2) {
		a.Signal(syscall.SIGSTOP)
		row.injected(1)
		n.Await(t, "the session to end", func() bool {
			e, ok := n.Last(node)
			return ok && e.Deleted()
		}, func() string { return "its record" })
		<-time.After(of(time.Second, 5*time.Second)) // the fault itself
		at := time.Now()
		a.Signal(syscall.SIGCONT)
		row.rightAfter(recorded(t, n).Sub(at), 2*time.Second)
	}
	if lost := count(t, a, "eru_agent_etcd_session_lost_total"); lost != float64(of(1, 2)) {
		t.Errorf("%v sessions were lost by the agent's count", lost)
	}
	a.AwaitReady()
	l.nothingNew()
	unwritten(row, n, since)
	row.flat(a, before)
	l.is(all[0].ID, "unhealthy")
	all[0].Behave("500")
	l.settle(time.Now())
}

// recorded returns once the node's record is there, and when it was seen.
func recorded(t *testing.T, n *rig.Node) time.Time {
	t.Helper()
	var seen rig.Event
	n.Await(t, "the node's record", func() bool {
		e, ok := n.Last("status:node/" + n.Name)
		seen = e
		return ok && !e.Deleted()
	}, func() string { return "none" })
	return seen.At
}
