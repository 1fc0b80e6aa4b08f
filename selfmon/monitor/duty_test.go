package monitor_test

import (
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/projecteru2/eru-agent/healthcheck"
	"github.com/projecteru2/eru-agent/selfmon/monitor"
	"github.com/projecteru2/eru-agent/status"
)

// every state, and what becomes of it on a host that is silent.
func states() map[status.State]string {
	const lost = "lost node_lost"
	return map[status.State]string{
		status.StateStarting: lost, status.StateHealthy: lost, status.StateUnhealthy: lost, status.StateDraining: lost,
		status.StatePaused: lost, status.StateInvalid: lost, status.StateStopped: "", status.StateLost: "",
	}
}

func TestEveryStateOnASilentHost(t *testing.T) {
	for state, want := range states() {
		t.Run(string(state), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBubble(t, 4, monitor.Config{})
				b.container(3, "c", state, 8080)
				b.die(true, 3)
				elapse(1100 * time.Millisecond)
				if want == "" {
					b.says()
				} else {
					b.says("n3/c " + want)
				}
				elapse(time.Minute)
				b.says()
				if len(b.checks.probed()) != 0 {
					t.Errorf("probed: %v", b.checks.probed())
				}
			})
		})
	}
}

// On a host that answers nothing changes but by the container's own answer, and
// only one that was in service is asked.
func TestEveryStateOnALivingHost(t *testing.T) {
	for state := range states() {
		t.Run(string(state), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBubble(t, 4, monitor.Config{})
				k := b.container(3, "c", state, 8080)
				b.container(3, "far", state, 0)
				b.die(false, 3)
				elapse(time.Minute)
				b.says()
				if asked := len(b.checks.probed()); (state == status.StateHealthy) != (asked == 1) {
					t.Errorf("%d are probed", asked)
				}
				if state != status.StateHealthy {
					return
				}
				b.verdict(k, healthcheck.Verdict{Reason: healthcheck.ReasonHTTPCode})
				b.says("n3/c unhealthy surrogate")
				b.verdict(k, healthcheck.Verdict{Reason: healthcheck.ReasonRefused})
				b.says() // other words are no change
				b.verdict(k, healthcheck.Verdict{Pass: true})
				b.says("n3/c healthy surrogate")
			})
		})
	}
}

// A container that only its own host can ask shares that host's fate, and keeps its last status as long as the host answers.
func TestOnlyItsHostCanAsk(t *testing.T) {
	for name, tt := range map[string]struct{ via, addr string }{
		"on no network":                         {"netns", "127.0.0.1"},
		"on an internal network":                {"netns", "172.30.0.2"},
		"on an internal network, by both sides": {"both", "172.30.0.2"},
		"on macvlan, which leads here":          {"netns", "10.9.9.9"},
	} {
		for _, state := range []status.State{status.StateHealthy, status.StateUnhealthy, status.StateStarting} {
			t.Run(name+" "+string(state), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := newBubble(t, 4, monitor.Config{})
					b.described(b.container(3, "c", state, 0), tt.via, netip.MustParseAddr(tt.addr))
					b.die(false, 3)
					elapse(10 * time.Minute)
					b.says()
					if asked := b.checks.probed(); len(asked) != 0 {
						t.Errorf("probed from elsewhere: %v", asked)
					}
					b.net.set(func() { b.net.dead[host(3)] = true })
					elapse(time.Minute)
					b.says("n3/c lost node_lost")
				})
			})
		}
	}
}

// A time-out may be the host's end, or this host's own: that is asked first.
func TestATimeoutIsLookedInto(t *testing.T) {
	timeout := healthcheck.Verdict{Reason: healthcheck.ReasonTimeout}
	for name, tt := range map[string]struct {
		change func(b *bubble)
		want   []string
	}{
		"the container":     {func(*bubble) {}, []string{"n3/c unhealthy surrogate"}},
		"the host":          {func(b *bubble) { b.net.set(func() { b.net.dead[host(3)] = true }) }, []string{"n3/c lost node_lost", "n3/far lost node_lost"}},
		"this host":         {func(b *bubble) { b.net.set(func() { b.net.unfit = true }) }, nil},
		"everybody's way":   {func(b *bubble) { b.net.set(func() { b.net.dead = all(4) }) }, nil},
		"etcd":              {func(b *bubble) { b.etcd.set(func() { b.etcd.broken = errAway }) }, nil},
		"a pass came first": {func(b *bubble) { b.net.set(func() { b.net.unfit = true }) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBubble(t, 4, monitor.Config{})
				k := b.container(3, "c", status.StateHealthy, 8080)
				b.container(3, "far", status.StateHealthy, 0)
				b.die(false, 3)
				elapse(2 * time.Second)
				b.says()
				tt.change(b)
				b.verdict(k, timeout)
				elapse(1100 * time.Millisecond)
				if name == "a pass came first" {
					b.verdict(k, healthcheck.Verdict{Pass: true})
					b.net.set(func() { b.net.unfit = false })
					elapse(time.Minute)
				}
				b.says(tt.want...)
			})
		})
	}
}

// A verdict that the agent itself was not fit to give says nothing.
func TestVoidVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, 4, monitor.Config{})
		k := b.container(3, "c", status.StateHealthy, 8080)
		b.die(false, 3)
		elapse(2 * time.Second)
		j := b.checks.jobs[b.checks.probed()[0]]
		b.checks.results <- healthcheck.Result{ID: j.ID, Epoch: j.Epoch, Verdict: healthcheck.Verdict{Reason: healthcheck.ReasonHTTPCode}, Void: true}
		b.checks.results <- healthcheck.Result{ID: j.ID, Epoch: j.Epoch + 1, Verdict: healthcheck.Verdict{Reason: healthcheck.ReasonHTTPCode}}
		b.says()
		b.verdict(k, healthcheck.Verdict{Reason: healthcheck.ReasonHTTPCode})
		b.says("n3/c unhealthy surrogate")
	})
}

// An agent that said that it stops is left alone for its grace, whatever its
// host does, and one that comes back within it was never missed.
func TestGrace(t *testing.T) {
	for _, comesBack := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			b := newBubble(t, 4, monitor.Config{Grace: time.Minute})
			b.container(3, "c", status.StateHealthy, 8080)
			o := b.etcd.owners["n3"]
			o.Stopping = true
			b.etcd.set(func() { b.etcd.owners["n3"] = o })
			b.die(true, 3)
			elapse(59 * time.Second)
			b.says()
			b.guard(0)
			if comesBack {
				b.back(3)
			}
			elapse(3 * time.Second)
			if comesBack {
				b.says()
			} else {
				b.says("n3/c lost node_lost")
			}
		})
	}
}

// The grace began when a monitor first missed the node, whoever that was.
func TestGraceOutlivesTheMonitor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := monitor.Config{Grace: time.Minute}
		b := newBubble(t, 4, cfg)
		b.container(3, "c", status.StateHealthy, 8080)
		o := b.etcd.owners["n3"]
		o.Stopping = true
		b.etcd.set(func() { b.etcd.owners["n3"] = o })
		b.die(true, 3)
		elapse(40 * time.Second)
		b.stop()
		if err := <-b.ended; err != nil {
			t.Error(err)
		}
		cfg.Node, cfg.MaxLost, cfg.HostPorts = "n1", 0.34, []uint16{22}
		b.begin(cfg)
		elapse(22 * time.Second)
		b.says("n3/c lost node_lost")
	})
}

func all(n int) map[netip.Addr]bool {
	dead := map[netip.Addr]bool{}
	for i := range n {
		dead[host(i)] = true
	}
	return dead
}

func TestGuard(t *testing.T) {
	for name, tt := range map[string]struct {
		nodes int
		do    func(b *bubble)
		cuts  int
		guard float64
	}{
		"one of four":                      {4, func(b *bubble) { b.die(true, 3) }, 1, 0},
		"one of two, etcd answers":         {2, func(b *bubble) { b.die(true, 1) }, 1, 0},
		"two of four":                      {4, func(b *bubble) { b.die(true, 2, 3) }, 0, 1},
		"two of six":                       {6, func(b *bubble) { b.die(true, 4, 5) }, 2, 0},
		"three of six":                     {6, func(b *bubble) { b.die(true, 3, 4, 5) }, 0, 1},
		"all but the monitor":              {6, func(b *bubble) { b.die(true, 1, 2, 3, 4, 5) }, 0, 1},
		"one, and the next are on the way": {6, func(b *bubble) { b.etcd.overdue = map[string]bool{"n3": true, "n4": true}; b.die(true, 5) }, 0, 1},
		"one, and one is on the way":       {6, func(b *bubble) { b.etcd.overdue = map[string]bool{"n4": true}; b.die(true, 5) }, 1, 0},
		"one, and nobody answers":          {6, func(b *bubble) { b.net.dead = all(6); b.die(true, 5) }, 0, 1},
		"one, and half of them answer": {7, func(b *bubble) {
			b.net.dead = map[netip.Addr]bool{host(1): true, host(2): true}
			b.die(true, 6)
		}, 1, 0},
		"one, by a monitor that was starved": {6, func(b *bubble) { b.net.unfit = true; b.die(true, 5) }, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBubble(t, tt.nodes, monitor.Config{})
				for i := range tt.nodes {
					b.container(i, "c", status.StateHealthy, 8080)
				}
				tt.do(b)
				elapse(4 * time.Second)
				b.guard(tt.guard)
				b.etcd.mu.Lock()
				cuts := len(b.etcd.written)
				b.etcd.mu.Unlock()
				if cuts != tt.cuts {
					t.Errorf("%d are cut, want %d: %v", cuts, tt.cuts, b.etcd.written)
				}
			})
		})
	}
}

// The guard stays up while so many are silent, for however long, and what is
// silent still is judged when it is down.
func TestGuardStaysUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, 6, monitor.Config{})
		for i := range 6 {
			b.container(i, "c", status.StateHealthy, 8080)
		}
		b.die(true, 2, 3, 4, 5)
		elapse(24 * time.Hour)
		b.says()
		b.guard(1)
		b.back(2, 3, 4)
		elapse(2100 * time.Millisecond) // two of them may have asked one after the other how the others fare
		b.guard(0)
		b.says("n5/c lost node_lost")
	})
}

// One after the other they may all go: that is no accident of the network, which
// would be seen by those that live.
func TestNodesThatDieOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, 6, monitor.Config{})
		for i := 1; i < 4; i++ {
			b.container(i, "c", status.StateHealthy, 8080)
			b.die(true, i)
			elapse(time.Minute)
			b.says(name(i) + "/c lost node_lost")
		}
		b.guard(0)
	})
}

// An agent may be elected before its own node's key is written.
func TestItsOwnNodeIsNotSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, 4, monitor.Config{})
		b.container(0, "c", status.StateHealthy, 8080)
		b.die(true, 0)
		elapse(time.Minute)
		b.says()
		if noted := b.etcd.text(); noted != "{}" {
			t.Errorf("noted is %s", noted)
		}
		b.back(0)
	})
}

// A new monitor does not count those that were judged before, and goes on where
// the former one was.
func TestTheNextMonitorGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, 6, monitor.Config{})
		k := b.container(1, "c", status.StateHealthy, 8080)
		b.die(false, 1)
		elapse(time.Minute)
		b.die(true, 2)
		elapse(time.Minute)
		b.verdict(k, healthcheck.Verdict{Reason: healthcheck.ReasonHTTPCode})
		b.says("n1/c unhealthy surrogate")
		since := b.etcd.text()
		b.stop()
		if err := <-b.ended; err != nil {
			t.Error(err)
		}
		b.checks.jobs = map[string]healthcheck.Job{}
		b.begin(monitor.Config{Node: "n3", MaxLost: 0.34, HostPorts: []uint16{22}})
		elapse(3 * time.Second)
		b.guard(0)
		b.verdict(k, healthcheck.Verdict{Pass: true})
		b.says("n1/c healthy surrogate")
		if now := b.etcd.text(); now != since {
			t.Errorf("noted is %s, was %s", now, since)
		}
		b.back(1, 2)
		if now := b.etcd.text(); now != "{}" {
			t.Errorf("of nodes that are back it is noted: %s", now)
		}
		if len(b.checks.probed()) != 0 {
			t.Errorf("probed: %v", b.checks.probed())
		}
	})
}

// Whatever goes wrong with a write, what stands there is read before the next.
func TestWritesThatFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, 4, monitor.Config{})
		k := b.container(3, "c", status.StateHealthy, 8080)
		b.die(false, 3)
		elapse(2 * time.Second)
		b.etcd.set(func() { b.etcd.broken = errAway })
		b.verdict(k, healthcheck.Verdict{Reason: healthcheck.ReasonHTTPCode})
		elapse(5 * time.Second)
		b.etcd.set(func() { b.etcd.broken = nil })
		elapse(3 * time.Second)
		b.verdict(k, healthcheck.Verdict{Reason: healthcheck.ReasonHTTPCode})
		b.says("n3/c unhealthy surrogate")
	})
}

// An owner record that moves is a sign of life: the agent writes, and will have
// a session soon.
func TestAnAgentThatWritesIsNotFought(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, 4, monitor.Config{})
		k := b.container(3, "c", status.StateHealthy, 8080)
		b.die(false, 3)
		elapse(2 * time.Second)
		o := b.etcd.owners["n3"]
		o.Sequence++
		b.etcd.set(func() { b.etcd.owners["n3"] = o })
		b.verdict(k, healthcheck.Verdict{Reason: healthcheck.ReasonHTTPCode})
		elapse(9 * time.Second)
		b.says()
		if len(b.checks.probed()) != 0 {
			t.Errorf("probed: %v", b.checks.probed())
		}
		elapse(5 * time.Second)
		b.verdict(k, healthcheck.Verdict{Reason: healthcheck.ReasonHTTPCode})
		b.says("n3/c unhealthy surrogate")
	})
}

// A term that is over ends the duty with the first write that says so.
func TestTermThatIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, 4, monitor.Config{})
		b.container(3, "c", status.StateHealthy, 8080)
		b.etcd.over = true
		b.die(true, 3)
		elapse(2 * time.Second)
		if err := <-b.ended; !errors.Is(err, status.ErrOver) {
			t.Errorf("ended with %v", err)
		}
		b.says()
	})
}

// A node without a session, or without an address, is never taken for dead.
func TestNodesThatCannotBeJudged(t *testing.T) {
	for name, owner := range map[string]status.Owner{
		"no session": {Instance: "i", Address: host(3).String()},
		"no address": {Instance: "i", Session: true},
		"no owner":   {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBubble(t, 4, monitor.Config{})
				b.container(3, "c", status.StateHealthy, 8080)
				b.etcd.owners["n3"] = owner
				b.die(true, 3)
				elapse(time.Hour)
				b.says()
				b.guard(0)
			})
		})
	}
}

// The janitor forgets who has been silent for long with its host, and nobody
// else.
func TestJanitor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, 6, monitor.Config{ForgetAfter: time.Hour})
		for i := range 6 {
			b.container(i, "c", status.StateHealthy, 8080)
		}
		b.die(true, 4)
		elapse(time.Minute)
		b.die(false, 5)
		elapse(58 * time.Minute)
		b.forgot()
		elapse(3 * time.Hour)
		b.forgot("n4")
	})
}

// While nobody is silent the elected one asks etcd for nothing.
func TestQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, 100, monitor.Config{})
		calls := b.etcd.calls
		elapse(time.Hour)
		if b.etcd.calls != calls || b.net.asked != 0 {
			t.Errorf("%d calls, %d questions to hosts", b.etcd.calls-calls, b.net.asked)
		}
		b.metrics(`
# HELP eru_agent_selfmon_leader 1 while this agent is the elected monitor.
# TYPE eru_agent_selfmon_leader gauge
eru_agent_selfmon_leader 1
# HELP eru_agent_selfmon_nodes Nodes as the elected monitor sees them: alive, silent (not judged yet), surrogate (looked after by the monitor); 0 on the others.
# TYPE eru_agent_selfmon_nodes gauge
eru_agent_selfmon_nodes{state="alive"} 100
eru_agent_selfmon_nodes{state="silent"} 0
eru_agent_selfmon_nodes{state="surrogate"} 0
`, "eru_agent_selfmon_leader", "eru_agent_selfmon_nodes")
	})
}
