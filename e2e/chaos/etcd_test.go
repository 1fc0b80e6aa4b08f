package chaos

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// TestEtcd breaks etcd in all ways that a cluster knows, for each version and for one and three members.
func TestEtcd(t *testing.T) {
	t.Parallel()
	var all sync.WaitGroup
	defer all.Wait()
	lane := func(name string, do func(*testing.T)) { // more than one at a time, because they mostly wait
		all.Go(func() { t.Run(name, do) })
	}
	for _, version := range []string{rig.OldEtcd, rig.NewEtcd} {
		lane(version+"x1", func(t *testing.T) {
			s := newStage(t, version, 1)
			s.restarted()
			s.stopped()
			s.lonely()
			s.noSpace()
			s.compacted()
			s.revoked()
			s.expired()
		})
		lane(version+"x3", func(t *testing.T) {
			s := newStage(t, version, 3)
			s.restarted()
			s.leaderKilled()
			s.leaderFrozen()
			s.cutOff()
			s.noQuorum(version)
			s.noSpace()
			s.compacted()
			s.revoked()
		})
	}
}

func (s *stage) restarted() {
	s.row("member restarted", func(row *row) {
		for _, m := range s.cluster.Members[:of(1, len(s.cluster.Members))] {
			restart := func() { m.Kill(); m.Start() }
			s.limps(row, of(0, 3*time.Second), restart, func() {})
		}
	})
}

func (s *stage) leaderKilled() {
	length := of(2*time.Second, 10*time.Second)
	s.row("leader killed, back after "+short(length), func(row *row) {
		leader := s.cluster.Leader()
		s.limps(row, length, leader.Kill, leader.Start)
	})
}

func (s *stage) leaderFrozen() {
	length := of(4*time.Second, 15*time.Second)
	s.row("leader frozen "+short(length), func(row *row) {
		leader := s.cluster.Leader()
		s.limps(row, length, leader.Freeze, leader.Thaw)
	})
}

// cutOff loses packets without a word, so that nobody is told that a member is away.
func (s *stage) cutOff() {
	length := of(2*time.Second, 15*time.Second)
	s.row("member cut off "+short(length), func(row *row) {
		leader := s.cluster.Leader()
		for _, m := range s.cluster.Members {
			if *full || m == leader {
				s.limps(row, length, m.Cut, m.Heal)
			}
		}
	})
	s.row("leader cut off from its peers "+short(length), func(row *row) {
		leader := s.cluster.Leader()
		s.limps(row, length, leader.CutPeers, leader.Heal)
	})
}

// stopped takes the only member away.
func (s *stage) stopped() {
	length := of(3*time.Second, time.Minute)
	s.row("no quorum (killed) "+short(length), func(row *row) {
		m := s.cluster.Members[0]
		s.away(row, length, m.Kill, m.Start)
	})
}

// lonely cuts the only member off.
func (s *stage) lonely() {
	length := of(2*time.Second, 15*time.Second)
	s.row("member cut off "+short(length), func(row *row) {
		m := s.cluster.Members[0]
		s.away(row, length, m.Cut, m.Heal)
	})
}

// noQuorum takes two of three away, killed and frozen; which of these for long depends on the version, for the time it
// takes.
func (s *stage) noQuorum(version string) {
	long, brief := of(2*time.Second, time.Minute), of(2*time.Second, 15*time.Second)
	killed, frozen := long, brief
	if version == rig.NewEtcd {
		killed, frozen = brief, long
	}
	two := s.cluster.Members[1:]
	each := func(do func(*etcdtest.Member)) func() {
		return func() {
			for _, m := range two {
				do(m)
			}
		}
	}
	s.row("no quorum (killed) "+short(killed), func(row *row) {
		s.away(row, killed, each((*etcdtest.Member).Kill), each((*etcdtest.Member).Start))
	})
	s.row("no quorum (frozen) "+short(frozen), func(row *row) {
		s.away(row, frozen, each((*etcdtest.Member).Freeze), each((*etcdtest.Member).Thaw))
	})
}

// noSpace fills etcd until it takes no more, and makes room again as an operator does.
func (s *stage) noSpace() {
	s.row("NOSPACE alarm", func(row *row) {
		ctx, cancel := context.WithTimeout(context.Background(), rig.Patience)
		defer cancel()
		etcd := s.node.Client()
		fill := func() {
			var err error
			for text := strings.Repeat("x", 1<<20); err == nil; {
				_, err = etcd.Put(ctx, "/fill", text)
			}
			if !errors.Is(err, rpctypes.ErrNoSpace) {
				s.t.Fatalf("filling etcd: %v", err)
			}
		}
		s.away(row, of(time.Second, 5*time.Second), fill, func() {
			if err := s.makeRoom(ctx, etcd); err != nil {
				s.t.Fatal(err)
			}
		})
	})
}

func (s *stage) makeRoom(ctx context.Context, etcd *clientv3.Client) error {
	resp, err := etcd.Get(ctx, "/fill", clientv3.WithKeysOnly())
	if err != nil {
		return fmt.Errorf("reading the revision: %w", err)
	}
	if _, err = etcd.Compact(ctx, resp.Header.Revision, clientv3.WithCompactPhysical()); err != nil {
		return fmt.Errorf("compacting: %w", err)
	}
	for _, m := range s.cluster.Members {
		if _, err := m.Client().Defragment(ctx, m.Endpoint()); err != nil {
			return fmt.Errorf("defragmenting: %w", err)
		}
	}
	if _, err = etcd.AlarmDisarm(ctx, &clientv3.AlarmMember{}); err != nil {
		return fmt.Errorf("disarming: %w", err)
	}
	return nil
}

// compacted cuts the agent and the reader off while others write, and forgets what they would have to hear.
func (s *stage) compacted() {
	s.row("compaction while cut off", func(row *row) {
		var endpoints []string
		var ways []*etcdtest.Proxy
		for _, m := range s.cluster.Members {
			p := etcdtest.NewProxy(s.t, m.Address())
			ways, endpoints = append(ways, p), append(endpoints, "http://"+p.Address())
		}
		way := strings.Join(endpoints, ",")
		was, reading := s.agent, s.reader
		through := s.node.In(s.t).Through(way)
		s.agent = through.Start().AwaitReady()
		was.Wait() // the newer one has taken over
		s.reader = &reader{r.Launch(s.t, "status", "--watch", "-o", "json", "--etcd.endpoints", way, "--etcd.prefix", s.node.Prefix)}
		s.reader.follows(s.t, s.ledger)
		s.away(row, of(time.Second, 5*time.Second), func() {
			for _, p := range ways {
				p.Cut()
			}
		}, func() {
			for range 10 {
				s.node.Put("elsewhere", "changed")
			}
			ctx, cancel := context.WithTimeout(context.Background(), rig.Patience)
			defer cancel()
			if _, err := s.node.Client().Compact(ctx, s.node.Put("elsewhere", "the last")); err != nil {
				s.t.Fatal(err)
			}
			for _, p := range ways {
				p.Resume()
			}
		})
		s.reader.follows(s.t, s.ledger)
		// A newer one takes over from this one, which hears of it although what it listened to is gone.
		was = s.agent
		s.agent = s.node.Start()
		at := time.Now()
		if code := was.Wait(); code == 0 {
			s.t.Errorf("the agent that was superseded ended with %d", code)
		}
		row.note("superseded one ends after %s", short(time.Since(at)))
		s.agent.AwaitReady()
		s.reader = reading
	})
}

// revoked ends the node's session, as an operator may do.
func (s *stage) revoked() {
	s.row("node's session revoked", func(row *row) {
		key := "status:node/" + s.node.Name
		for range of(1, 3) {
			e, _ := s.node.Last(key)
			row.injected(1)
			ctx, cancel := context.WithTimeout(context.Background(), rig.Patience)
			if _, err := s.node.Client().Revoke(ctx, clientv3.LeaseID(e.Lease)); err != nil {
				s.t.Fatal(err)
			}
			cancel()
			at := time.Now()
			s.sessionAfter(e.Revision)
			row.note("node is back after %s", short(time.Since(at)))
			s.ledger.nothingNew()
			s.flip(1, false)
			s.rightSince(row, time.Now())
		}
	})
}

// sessionAfter returns once the node's record went away after a revision, and is back.
func (s *stage) sessionAfter(revision int64) {
	s.t.Helper()
	gone := false
	s.node.Await(s.t, "the node's record to go and to be back", func() bool {
		gone = false
		back := false
		for _, e := range s.node.Events("status:node/" + s.node.Name) {
			if e.Revision > revision {
				gone, back = gone || e.Deleted(), gone && !e.Deleted()
			}
		}
		return back
	}, func() string { return fmt.Sprintf("that it went is %v", gone) })
}

// expired freezes the only member for longer than the session lasts, which ends when it is back, before the agent can
// renew it.
func (s *stage) expired() {
	length := of(5*time.Second, 15*time.Second)
	s.row("frozen "+short(length)+", longer than the session", func(row *row) {
		m := s.cluster.Members[0]
		e, _ := s.node.Last("status:node/" + s.node.Name)
		s.away(row, length, m.Freeze, m.Thaw)
		at := time.Now()
		s.sessionAfter(e.Revision)
		row.note("node is back after %s more", short(time.Since(at)))
	})
}
