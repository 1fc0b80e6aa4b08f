package chaos

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

// soon is within what of etcd's return everything that it missed shall be there.
const soon = 2 * time.Second

// stage is one etcd cluster with one agent and its crowd, which outlive row after row: a fault may do harm that shows only
// with the next one.
type stage struct {
	t       *testing.T // the row's
	on      string
	cluster *etcdtest.Cluster
	crowd   *rig.Crowd
	node    *rig.Node
	agent   *rig.Agent
	ledger  *ledger
	reader  *reader
	calm    load
	rest    []dockertest.Container // that serve; the first changes next
	undo    []func()
}

// reader is `eru-agent status --watch`, which must go on through everything.
type reader struct{ *rig.Process }

const crowdSize = 60

func newStage(t *testing.T, version string, members int) *stage {
	t.Helper()
	s := &stage{t: t, on: fmt.Sprintf("etcd %s x%d", version, members)}
	s.cluster = etcdtest.StartCluster(t, r.Etcd(t, version), members, 24<<20)
	s.crowd = rig.NewCrowd(t, dockertest.Config{})
	s.node = r.CrowdNode(t, s.crowd, s.cluster.Endpoints(), clientv3.Config{})
	// The long timeout lets the agent take more of a busy machine before it doubts its own verdicts.
	s.node.Flags = []string{"--healthcheck.interval", of("300ms", "500ms"), "--healthcheck.timeout", "8s", "--etcd.session_ttl", of(3*time.Second, 10*time.Second).String()}
	s.ledger = newLedger(&row{t: t}, s.node)
	for range crowdSize {
		s.rest = append(s.rest, s.born())
	}
	s.undo = nil
	s.agent = s.node.Start().AwaitReady()
	s.reader = &reader{r.Launch(t, "status", "--watch", "-o", "json", "--etcd.endpoints", s.cluster.Endpoints(), "--etcd.prefix", s.node.Prefix)}
	s.ledger.settle(time.Now())
	s.calm = baseline(t, s.agent)
	return s
}

// row runs one fault and sees to it that everything is as before it, in etcd and with who follows it.
func (s *stage) row(fault string, do func(*row)) {
	s.t.Run(fault, func(t *testing.T) {
		outer := *s
		one := newRow(t, ofEtcd, fault, s.on)
		s.t = t
		s.ledger.pass(one)
		t.Cleanup(func() {
			s.whole()
			s.ledger.pass(&row{t: outer.t})
			s.t = outer.t
		})
		lost := s.lost()
		do(one)
		s.restore()
		s.ledger.nothingNew()
		s.reader.follows(t, s.ledger)
		one.flat(s.agent, s.calm)
		if n := s.lost() - lost; n > 0 {
			one.note("sessions lost %v", n)
		}
	})
}

// pass ends the judgement for one row and begins that for another.
func (l *ledger) pass(to *row) {
	l.judge()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.row = to
}

// lost is how many sessions the agent has lost.
func (s *stage) lost() float64 {
	s.t.Helper()
	n, err := s.agent.Metric("eru_agent_etcd_session_lost_total")
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// whole ends every fault of every member.
func (s *stage) whole() {
	for _, m := range s.cluster.Members {
		m.Start()
		m.Thaw()
		m.Heal()
	}
}

// next are the containers that have been steady for longest; with what they become it is for the caller to give them back.
func (s *stage) next(n int) []dockertest.Container {
	chosen := slices.Clone(s.rest[:n])
	s.rest = s.rest[n:]
	return chosen
}

func (s *stage) born() dockertest.Container {
	c := s.crowd.Join("crew")
	s.ledger.begins(c.ID)
	s.undo = append(s.undo, func() {
		s.ledger.goes(c.ID)
		s.crowd.Remove(c.ID)
	})
	return c
}

// last makes changes that last until the row's end, and returns when the agent knows all of them.
func (s *stage) last(each int) {
	s.t.Helper()
	for range each {
		chosen, born := s.next(2), s.born()
		dead, ill := chosen[0], chosen[1]
		s.ledger.dies(dead.ID)
		s.crowd.Die(dead.ID, 1)
		s.ledger.is(ill.ID, "unhealthy")
		s.behave(ill, "500")
		s.undo = append(s.undo, func() {
			s.ledger.is(ill.ID, "healthy")
			s.behave(ill, "ok")
			s.ledger.begins(dead.ID)
			s.crowd.Start(dead.ID)
			s.rest = append(s.rest, chosen...)
		})
		s.knows(dead, "stopped")
		s.knows(ill, "unhealthy")
		s.knows(born, "healthy")
	}
}

// flip makes changes that are over when it returns. If nobody can see them, nobody may ever hear of them.
func (s *stage) flip(each int, unseen bool) {
	s.t.Helper()
	for range each {
		chosen := s.next(2)
		ill, again := chosen[0], chosen[1]
		if !unseen {
			s.ledger.is(ill.ID, "healthy", "unhealthy")
		}
		s.ledger.restarts(again.ID)
		s.behave(ill, "500")
		s.crowd.Die(again.ID, 1)
		s.knows(again, "stopped")
		s.crowd.Start(again.ID)
		s.knows(ill, "unhealthy")
		s.behave(ill, "ok")
		s.knows(ill, "healthy")
		s.knows(again, "healthy")
		s.rest = append(s.rest, chosen...)
	}
}

// behave tells a container how to answer; its address is another one in each life.
func (s *stage) behave(c dockertest.Container, mode string) {
	now, _ := s.crowd.Container(c.ID)
	s.crowd.Behave(now.Networks["bridge"], mode)
}

func (s *stage) knows(c dockertest.Container, state string) {
	s.t.Helper()
	rig.Await(s.t, fmt.Sprintf("the agent to know %s as %s", c.Name, state), func() error {
		got, err := s.agent.Knows(&rig.Container{ID: c.ID})
		if err == nil && got != state {
			err = fmt.Errorf("it is %q", got)
		}
		return err
	})
}

// restore takes back what lasted.
func (s *stage) restore() {
	s.t.Helper()
	for _, undo := range s.undo {
		undo()
	}
	s.undo = nil
	s.ledger.settle(time.Now())
}

// limps lets the truth change while etcd has lost some of its members, and can do without them. What the agent was kept
// from is right soon after etcd takes writes, and what changes later is right at once.
func (s *stage) limps(row *row, length time.Duration, begin, end func()) {
	s.t.Helper()
	over := time.After(length)
	row.injected(1)
	begin()
	returned := s.node.Returning()
	s.last(of(2, 3))
	known := time.Now()
	s.rightSince(row, later(returned(), known))
	for range of(1, 3) {
		<-time.After(length / 5) // some way into the fault, which goes on
		s.flip(1, false)
		s.rightSince(row, time.Now())
		s.last(1)
		s.rightSince(row, time.Now())
	}
	<-over // the fault itself
	end()
	s.flip(1, false)
	s.rightSince(row, time.Now())
}

// away lets the truth change while etcd takes nothing.
func (s *stage) away(row *row, length time.Duration, begin, end func()) {
	s.t.Helper()
	failed, since := s.errors(), s.node.Catch()
	over := time.After(length)
	row.injected(1)
	begin()
	s.last(of(2, 3))
	// The first transaction of these may have been taken, and may land on return; nobody could know better. From then on
	// the agent knows that etcd takes nothing.
	rig.Await(s.t, "a write to fail", func() error {
		if s.errors() == failed {
			return fmt.Errorf("none has")
		}
		return nil
	})
	s.flip(of(1, 3), true)
	<-over // the fault itself
	returned := s.node.Returning()
	end()
	s.rightSince(row, returned())
	s.once(row, since)
}

func (s *stage) errors() float64 {
	s.t.Helper()
	n, err := s.agent.Metric("eru_agent_publish_errors_total")
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

func (s *stage) rightSince(row *row, at time.Time) {
	s.t.Helper()
	row.rightAfter(s.ledger.settle(at), soon)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// once says that of each container only the newest was written after a revision; what is new may have begun to be written
// before.
func (s *stage) once(row *row, since int64) {
	s.node.Catch()
	states := map[string][]string{}
	for _, e := range s.node.Events("status/") {
		if e.Revision > since && !e.Deleted() {
			states[e.Key] = append(states[e.Key], e.Status(s.t).State)
		}
	}
	for key, all := range states {
		if all[0] == "starting" {
			all = all[1:]
		}
		if len(all) > 1 {
			row.wrongly("%s was written %d times, as %v", key, len(all), all)
		}
	}
}

// follows returns once the reader has been told the newest of every container, and holds that it was told nothing else.
func (r *reader) follows(t *testing.T, l *ledger) {
	t.Helper()
	rig.Await(t, "the reader to see what the witness sees", func() error {
		told := r.told(t)
		for _, e := range l.node.Events("status/") {
			id := e.Key[strings.LastIndexByte(e.Key, '/')+1:]
			if last, _ := l.node.Last(e.Key); last.Revision == e.Revision && !e.Deleted() && told[id] != e.Revision || e.Deleted() && last.Deleted() && told[id] != 0 {
				return fmt.Errorf("of %.12s it saw revision %d, not %d", id, told[id], e.Revision)
			}
		}
		return nil
	})
}

// told is the revision that the reader knows of each container.
func (r *reader) told(t *testing.T) map[string]int64 {
	t.Helper()
	told := map[string]int64{}
	for line := range strings.Lines(r.Out.String()) {
		var change struct {
			Change   string
			ID       string
			Revision int64
			Status   rig.Status
		}
		if !strings.HasSuffix(line, "\n") {
			break
		}
		if err := json.Unmarshal([]byte(line), &change); err != nil {
			t.Fatalf("reading %q: %v", line, err)
		}
		switch {
		case change.Change == "deleted":
			delete(told, change.ID)
		case change.Change == "put" && told[change.Status.ID] > change.Revision:
			t.Errorf("the reader was told revision %d of %.12s after %d", change.Revision, change.Status.ID, told[change.Status.ID])
		case change.Change == "put":
			told[change.Status.ID] = change.Revision
		}
	}
	return told
}
