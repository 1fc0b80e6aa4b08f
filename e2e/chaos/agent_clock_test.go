package chaos

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

// TestClock sets the clocks of the agent and of Docker an hour forward and back, both or one of them, while containers
// start, die, restart, fail and heal, and while the agent is started anew.
func TestClock(t *testing.T) {
	t.Parallel()
	if !*full {
		t.Skip("the agent with a clock of its own takes minutes to compile, once; package watcher has the clock of Docker")
	}
	for _, whose := range []string{"Docker's and the agent's", "agent's", "Docker's"} {
		t.Run(whose, func(t *testing.T) {
			t.Parallel()
			s := newTimes(t, whose)
			for range of(1, 2) {
				for _, wrong := range []time.Duration{time.Hour, 0, -time.Hour, 0} {
					s.jump(wrong)
				}
			}
			s.l.nothingNew()
			s.row.note("%v probes a second before, %v after", s.slow, s.fast)
		})
	}
}

// times is a crowd whose clocks jump.
type times struct {
	*rig.Crowd
	t      *testing.T
	row    *row
	n      *rig.Node
	l      *ledger
	a      *rig.Agent
	agents *clock
	engine atomic.Int64
	whose  string
	steady []dockertest.Container

	slow, fast int64
}

func newTimes(t *testing.T, whose string) *times {
	t.Helper()
	s := &times{t: t, whose: whose, row: newRow(t, ofAgent, whose+" clock set by an hour", "etcd 3.7, fake Docker"), agents: newClock(t)}
	s.Crowd = rig.NewCrowd(t, dockertest.Config{Clock: func() time.Time { return time.Now().Add(time.Duration(s.engine.Load())) }})
	s.n = r.CrowdNode(t, s.Crowd, etcdtest.Start(t).Endpoint(), clientv3.Config{})
	s.a = s.agents.start(s.n).AwaitReady()
	s.l = newLedger(s.row, s.n)
	s.steady = gather(s.l, s.Crowd, 20)
	return s
}

// set sets the clocks that shall be wrong.
func (s *times) set(wrong time.Duration) {
	if s.whose != "agent's" {
		s.engine.Store(int64(wrong))
	}
	if s.whose != "Docker's" {
		s.agents.set(wrong)
	}
}

// rate is how many probes there are in a second.
func (s *times) rate() int64 {
	before := s.Probed()
	<-time.After(time.Second) // what is measured
	return s.Probed() - before
}

// jump sets the clocks in the midst of everything that can happen to containers.
func (s *times) jump(wrong time.Duration) {
	s.t.Helper()
	all := gather(s.l, s.Crowd, 9)
	at := func(i int) string { return all[i].Networks["bridge"] }
	s.slow = s.rate()

	s.l.is(all[0].ID, "unhealthy")
	s.Behave(at(0), "500")
	s.l.dies(all[1].ID)
	s.Die(all[1].ID, 1)
	s.l.is(all[2].ID, "draining")
	s.BeginStop(all[2].ID)
	s.l.settle(time.Now())

	s.row.injected(1)
	s.set(wrong)
	now := time.Now()
	s.l.is(all[0].ID, "healthy")
	s.Behave(at(0), "ok")
	s.l.restarts(all[1].ID)
	s.Start(all[1].ID)
	s.l.dies(all[2].ID)
	s.Die(all[2].ID, 0)
	s.l.restarts(all[3].ID)
	s.Restart(all[3].ID)
	s.l.is(all[4].ID, "unhealthy")
	s.Behave(at(4), "silent")
	s.l.begins(s.Join("late").ID)
	s.row.rightAfter(s.l.settle(now), 3*time.Second)
	s.renewed(all[1].ID)
	s.renewed(all[3].ID)

	s.deaf(all[5].ID, all[6].ID, all[7].ID)
	s.again()
	s.fast = s.rate()
	for _, c := range all {
		s.l.goes(c.ID)
		s.Remove(c.ID)
		s.Behave(c.Networks["bridge"], "ok") // whoever gets its address
	}
	s.l.settle(time.Now())
}

// deaf lets containers die and restart while Docker's events do not flow.
func (s *times) deaf(died, restarted, gone string) {
	s.t.Helper()
	s.Hang(dockertest.Subscribing)
	s.CutStreams()
	s.l.dies(died)
	s.Die(died, 1)
	s.l.restarts(restarted)
	s.Restart(restarted)
	s.l.goes(gone)
	s.Remove(gone)
	s.Unhang(dockertest.Subscribing)
	s.row.rightAfter(s.l.settle(time.Now()), 3*time.Second)
	s.renewed(restarted)
}

// renewed returns once the status is that of the life that runs, which is healthy as the one before it was.
func (s *times) renewed(id string) {
	s.t.Helper()
	truth, _ := s.Container(id)
	key := "status/crowd/web/" + s.n.Name + "/" + id
	s.n.Await(s.t, "the new life of "+truth.Name, func() bool {
		e, ok := s.n.Last(key)
		return ok && !e.Deleted() && e.Status(s.t).Started.Equal(truth.StartedAt) && e.Status(s.t).Healthy
	}, func() string {
		e, _ := s.n.Last(key)
		return string(e.Value)
	})
}

// again starts the agent anew. It takes statuses over whose times may lie in the future.
func (s *times) again() {
	s.t.Helper()
	if lost := count(s.t, s.a, "eru_agent_etcd_session_lost_total"); lost != 0 {
		s.t.Errorf("%v sessions were lost", lost)
	}
	since := s.n.Catch()
	s.a.Kill()
	s.a = s.agents.start(s.n).AwaitReady()
	verified(s.t, s.a, len(s.steady))
	unwritten(s.row, s.n, since)
	probed := s.Probed()
	rig.Await(s.t, "probes to go on", func() error {
		if now := s.Probed() - probed; now < int64(2*len(s.steady)) {
			return fmt.Errorf("%d so far", now)
		}
		return nil
	})
}
