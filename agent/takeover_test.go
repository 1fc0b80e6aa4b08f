package agent_test

import (
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/watcher"
)

// eitherOrder runs a take-over with etcd read before Docker told of c, and
// after.
func eitherOrder(t *testing.T, test func(t *testing.T, r *rig, begin func(c watcher.Container, found ...status.Found))) {
	t.Helper()
	for _, order := range []string{"etcd first", "Docker first"} {
		t.Run(order, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, nodeConfig())
				test(t, r, func(c watcher.Container, found ...status.Found) {
					if order == "etcd first" {
						r.adopt(found...)
						r.running(c)
						return
					}
					r.running(c)
					r.adopt(found...)
				})
			})
		})
	}
}

func TestTakeOverKeepsTheState(t *testing.T) {
	for _, tt := range []struct {
		state  status.State
		reason string
		passed bool // the first probe may wait for its slot
	}{
		{status.StateStarting, "connect_refused", false},
		{status.StateHealthy, "", true},
		{status.StateUnhealthy, "http_code", true},
		{status.StateDraining, "stop_signal", false},
		{status.StatePaused, "paused", false},
	} {
		t.Run(string(tt.state), func(t *testing.T) {
			eitherOrder(t, func(t *testing.T, r *rig, begin func(watcher.Container, ...status.Found)) {
				c := box("c1", probedLabels())
				f := foundOf(c, tt.state, tt.reason)
				f.Status.Detail = "as the other said"
				begin(c, f)
				r.says() // to the byte what stands there
				if j, ok := r.checks.job("c1"); !ok || j.Passed != tt.passed {
					t.Errorf("job %+v", j)
				}
				r.population(map[status.State]int{tt.state: 1})
				_, s := r.only()
				if !s.Since.Equal(f.Status.Since) || s.Detail != f.Status.Detail {
					t.Errorf("since %s %q, want %s %q", s.Since, s.Detail, f.Status.Since, f.Status.Detail)
				}
				r.passes("c1")
				if tt.state == status.StateHealthy {
					r.says()
				} else {
					r.says("c1 healthy")
				}
				r.population(map[status.State]int{"healthy": 1})
			})
		})
	}
}

func TestTakeOverNeverPassesThroughStarting(t *testing.T) {
	for _, state := range []status.State{status.StateHealthy, status.StateUnhealthy, status.StatePaused} {
		t.Run(string(state), func(t *testing.T) {
			eitherOrder(t, func(t *testing.T, r *rig, begin func(watcher.Container, ...status.Found)) {
				c := box("c1", probedLabels())
				begin(c, foundOf(c, state, ""))
				r.fails("c1", "timeout")
				r.says("c1 unhealthy timeout")
			})
		})
	}
}

// A verdict that came before etcd could be read stands, but what has been
// healthy does not go back to starting.
func TestTakeOverAfterAVerdict(t *testing.T) {
	for name, tt := range map[string]struct {
		pass  bool
		found status.State
		want  []string
	}{
		"failed, was healthy":   {false, status.StateHealthy, []string{"c1 unhealthy timeout"}},
		"failed, was unhealthy": {false, status.StateUnhealthy, []string{"c1 unhealthy timeout"}},
		"failed, was starting":  {false, status.StateStarting, []string{"c1 starting timeout"}},
		"passed, was healthy":   {true, status.StateHealthy, nil},
		"passed, was unhealthy": {true, status.StateUnhealthy, []string{"c1 healthy"}},
		"passed, was lost":      {true, status.StateLost, []string{"c1 healthy"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, nodeConfig())
				c := box("c1", probedLabels())
				r.running(c)
				if tt.pass {
					r.passes("c1")
				} else {
					r.fails("c1", "timeout")
				}
				job, _ := r.checks.job("c1")
				f := foundOf(c, tt.found, "")
				r.adopt(f)
				r.says(tt.want...)
				if again, _ := r.checks.job("c1"); again.Epoch != job.Epoch {
					t.Error("it is probed anew")
				}
				if _, s := r.only(); s.State == tt.found && !s.Since.Equal(f.Status.Since) {
					t.Errorf("since %s, want %s", s.Since, f.Status.Since)
				}
			})
		})
	}
}

// What the other agent has learnt since this one's last verdict stands, until this one asks again.
func TestTakeOverOfNewerVerdict(t *testing.T) {
	for name, tt := range map[string]struct {
		pass  bool
		found status.State
		want  []string // if it is newer
	}{
		"failed, is healthy":   {false, status.StateHealthy, nil},
		"passed, is unhealthy": {true, status.StateUnhealthy, nil},
		"passed, is healthy":   {true, status.StateHealthy, nil},
		"passed, is starting":  {true, status.StateStarting, []string{"c1 healthy"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, nodeConfig())
				c := box("c1", probedLabels())
				r.running(c)
				if tt.pass {
					r.passes("c1")
				} else {
					r.fails("c1", "timeout")
				}
				elapse(time.Second)
				f := foundOf(c, tt.found, "")
				f.Status.Since = time.Now().Round(0)
				r.adopt(f)
				r.says(tt.want...)
				r.population(map[status.State]int{map[bool]status.State{true: tt.found, false: status.StateHealthy}[tt.want == nil]: 1})
				elapse(time.Second)
				r.passes("c1")
				if _, s := r.only(); s.State != status.StateHealthy {
					t.Errorf("after another verdict it is %s", s.State)
				}
			})
		})
	}
}

// The stop signal is newer than what is published.
func TestTakeOverWhileDraining(t *testing.T) {
	for name, labels := range map[string]map[string]string{"probed": probedLabels(), "no check": plainLabels()} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, nodeConfig())
				c := box("c1", labels)
				r.running(c)
				r.stopping(c, syscall.SIGTERM)
				r.adopt(foundOf(c, status.StateHealthy, ""))
				r.forget()
				if _, s := r.only(); s.State != status.StateDraining {
					t.Errorf("%+v", s)
				}
				r.exited(c, watcher.Exit{})
				r.says("c1 stopped exited")
			})
		})
	}
}

func TestTakeOverOfDrainingKeepsItsTime(t *testing.T) {
	eitherOrder(t, func(t *testing.T, r *rig, begin func(watcher.Container, ...status.Found)) {
		c := box("c1", plainLabels())
		f := foundOf(c, status.StateDraining, "stop_signal")
		f.Status.Endpoints = nil
		f.Status.Since = time.Now().Add(-4 * time.Second).Round(0)
		begin(c, f)
		r.says()
		elapse(6*time.Second - time.Millisecond)
		r.says()
		elapse(time.Millisecond)
		r.says("c1 healthy")
	})
}

// eventually etcd is told what the facts say, whatever stood there.
func TestTakeOverAgainstTheFacts(t *testing.T) {
	for name, tt := range map[string]struct {
		labels map[string]string
		change func(c *watcher.Container)
		found  status.State
		want   status.State
	}{
		"paused since":        {probedLabels(), func(c *watcher.Container) { c.Paused = true }, status.StateHealthy, status.StatePaused},
		"no address since":    {probedLabels(), func(c *watcher.Container) { c.Addr = netip.Addr{} }, status.StateHealthy, status.StateUnhealthy},
		"no check":            {plainLabels(), func(*watcher.Container) {}, status.StateUnhealthy, status.StateHealthy},
		"unpaused, no check":  {plainLabels(), func(*watcher.Container) {}, status.StatePaused, status.StateHealthy},
		"label understood":    {probedLabels(), func(*watcher.Container) {}, status.StateInvalid, status.StateStarting},
		"label not":           {map[string]string{"eru.health.x": "y"}, func(*watcher.Container) {}, status.StateHealthy, status.StateInvalid},
		"lost":                {probedLabels(), func(*watcher.Container) {}, status.StateLost, status.StateLost},
		"lost, no check":      {plainLabels(), func(*watcher.Container) {}, status.StateLost, status.StateHealthy},
		"lost, paused":        {probedLabels(), func(c *watcher.Container) { c.Paused = true }, status.StateLost, status.StatePaused},
		"lost, no address":    {probedLabels(), func(c *watcher.Container) { c.Addr = netip.Addr{} }, status.StateLost, status.StateUnhealthy},
		"said to be stopped":  {probedLabels(), func(*watcher.Container) {}, status.StateStopped, status.StateStarting},
		"stopped, no check":   {plainLabels(), func(*watcher.Container) {}, status.StateStopped, status.StateHealthy},
		"of a version to be":  {probedLabels(), func(*watcher.Container) {}, "resting", status.StateStarting},
		"of a former life":    {probedLabels(), func(c *watcher.Container) { c.Started = c.Started.Add(time.Hour) }, status.StateHealthy, status.StateStarting},
		"unread, of no start": {probedLabels(), func(c *watcher.Container) { c.Started = time.Time{} }, "", status.StateStarting},
	} {
		t.Run(name, func(t *testing.T) {
			eitherOrder(t, func(t *testing.T, r *rig, begin func(watcher.Container, ...status.Found)) {
				c := box("c1", tt.labels)
				f := foundOf(c, tt.found, "")
				tt.change(&c)
				if tt.found == "" {
					f.Status = status.Status{}
				}
				begin(c, f)
				if _, s := r.only(); s.State != tt.want || !s.Started.Equal(c.Started) {
					t.Errorf("%s of %s, want %s of %s", s.State, s.Started, tt.want, c.Started)
				}
				r.population(map[status.State]int{tt.want: 1})
			})
		})
	}
}

// What the monitor wrote while no agent was there stands until this agent's own
// verdict, which is asked for at once.
func TestTakeOverFromTheMonitor(t *testing.T) {
	for name, tt := range map[string]struct {
		state  status.State
		reason string
		pass   bool
		want   string
	}{
		"lost, and it passes":      {status.StateLost, status.ReasonNodeLost, true, "c1 healthy"},
		"lost, and it fails":       {status.StateLost, status.ReasonNodeLost, false, "c1 unhealthy timeout"},
		"unhealthy, and it passes": {status.StateUnhealthy, status.ReasonSurrogate, true, "c1 healthy"},
		"unhealthy, and it fails":  {status.StateUnhealthy, status.ReasonSurrogate, false, "c1 unhealthy timeout"},
		"healthy, and it passes":   {status.StateHealthy, status.ReasonSurrogate, true, "c1 healthy"},
		"healthy, and it fails":    {status.StateHealthy, status.ReasonSurrogate, false, "c1 unhealthy timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			eitherOrder(t, func(t *testing.T, r *rig, begin func(watcher.Container, ...status.Found)) {
				c := box("c1", probedLabels())
				begin(c, foundOf(c, tt.state, tt.reason))
				r.says()
				if j, ok := r.checks.job("c1"); !ok || j.Passed {
					t.Errorf("job %+v: it waits for its slot", j)
				}
				if tt.pass {
					r.passes("c1")
				} else {
					r.fails("c1", "timeout")
				}
				r.says(tt.want)
			})
		})
	}
}

// One that the monitor called lost runs here: it stops, drains and ends as
// others do.
func TestLostOneLivesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nodeConfig())
		c := box("c1", probedLabels())
		r.adopt(foundOf(c, status.StateLost, status.ReasonNodeLost))
		r.running(c)
		r.running(c) // the same facts again are no new life
		r.says()
		r.stopping(c, syscall.SIGTERM)
		r.says("c1 draining stop_signal")
		r.exited(c, watcher.Exit{})
		r.says("c1 stopped exited")
	})
}

func TestTakeOverFromAnotherIdentity(t *testing.T) {
	eitherOrder(t, func(t *testing.T, r *rig, begin func(watcher.Container, ...status.Found)) {
		c := box("c1", probedLabels())
		f := foundOf(c, status.StateHealthy, "")
		f.Key.App, f.Key.Entrypoint = "shop", "front"
		begin(c, f)
		r.passes("c1")
		k, s := r.only()
		if len(r.etcd.content()) != 1 || k != keyOf("c1") || s.State != status.StateHealthy || !s.Since.Equal(f.Status.Since) {
			t.Errorf("etcd holds %v", r.etcd.content())
		}
		for _, line := range r.etcd.said {
			if line == "c1 starting" {
				t.Errorf("it passed through starting: %q", r.etcd.said)
			}
		}
	})
}

func TestTakeOverPrefersItsOwnKey(t *testing.T) {
	for _, ownFirst := range []bool{true, false} {
		eitherOrder(t, func(t *testing.T, r *rig, begin func(watcher.Container, ...status.Found)) {
			c := box("c1", probedLabels())
			own, other := foundOf(c, status.StateUnhealthy, "timeout"), foundOf(c, status.StateHealthy, "")
			other.Key.App = "old"
			if ownFirst {
				begin(c, own, other)
			} else {
				begin(c, other, own)
			}
			r.says("c1 dropped old/web")
		})
	}
}

// foundDead has c be dead when it is first seen, before or after etcd shows f.
func (r *rig) foundDead(c watcher.Container, f status.Found, etcdFirst bool) {
	if etcdFirst {
		r.adopt(f)
	}
	c.Addr, c.Networks = netip.Addr{}, nil // Docker has forgotten them
	r.exited(c, watcher.Exit{Known: true, Code: 1})
	if !etcdFirst {
		r.adopt(f)
	}
}

func TestDiedWhileNoAgentWasThere(t *testing.T) {
	for _, state := range []status.State{status.StateHealthy, status.StateDraining, status.StatePaused, status.StateLost} {
		for _, etcdFirst := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, nodeConfig())
				c := box("c1", plainLabels())
				f := foundOf(c, state, "")
				r.foundDead(c, f, etcdFirst)
				r.says("c1 stopped exited")
				r.population(map[status.State]int{"stopped": 1})
			})
		}
	}
}

// What is dead already is not written again, although Docker has forgotten its
// addresses.
func TestFoundStoppedAndStillDead(t *testing.T) {
	for _, labels := range []map[string]string{plainLabels(), probedLabels()} {
		for _, etcdFirst := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, nodeConfig())
				c := box("c1", labels)
				f := foundOf(c, status.StateStopped, "exited")
				f.Status.Detail = "exit code 1"
				r.foundDead(c, f, etcdFirst)
				r.says()
				if _, s := r.only(); !s.Since.Equal(f.Status.Since) || string(s.Check) != string(f.Status.Check) {
					t.Errorf("since %s, asked by %s, want %s and %s", s.Since, s.Check, f.Status.Since, f.Status.Check)
				}
				r.removed("c1")
				r.says("c1 deleted web/web")
			})
		}
	}
}

func TestOrphansGoOnceDockerHasListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nodeConfig())
		old := box("c1", nil)
		unread := status.Found{Key: keyOf("c2")}
		stays := foundOf(box("c3", nil), status.StateHealthy, "")
		dead := foundOf(box("c4", nil), status.StateStopped, "exited")
		moved := foundOf(old, status.StateHealthy, "")
		moved.Key.App = "other"
		r.adopt(foundOf(old, status.StateHealthy, ""), unread, stays, dead, moved)
		r.says()
		r.listed("c3")
		got := map[string]bool{}
		for _, line := range r.etcd.said {
			got[line] = true
		}
		for _, want := range []string{"c1 stopped gone", "c1 deleted web/web", "c1 deleted other/web", "c2 stopped gone", "c2 deleted web/web", "c4 deleted web/web"} {
			if !got[want] {
				t.Errorf("%q is not among %q", want, r.etcd.said)
			}
		}
		if len(r.etcd.said) != 7 || len(r.etcd.content()) != 1 {
			t.Errorf("etcd saw %q", r.etcd.said)
		}
		r.forget()
		r.listed("c3")
		r.says()
		r.removed("c3") // before its details came
		r.says("c3 stopped gone", "c3 deleted web/web")
	})
}

func TestOrphansWhenDockerListedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nodeConfig())
		c := box("c1", plainLabels())
		r.listed("c1", "c3")
		r.running(c)
		r.exited(c, watcher.Exit{})
		r.removed("c1")
		r.removed("c3")
		r.adopt(foundOf(c, status.StateHealthy, ""), foundOf(box("c2", nil), status.StateHealthy, ""), foundOf(box("c3", nil), status.StateStopped, "exited"))
		if len(r.etcd.content()) != 0 {
			t.Errorf("etcd holds %v", r.etcd.content())
		}
	})
}

// Another agent may have published a life that began after Docker was asked for
// the listing: neither that it is missing there nor that it stood still says
// anything of it.
func TestOrphansThatBeganAfterTheListing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nodeConfig())
		asked := time.Now()
		<-time.After(time.Second)
		again, young, ended := box("c1", plainLabels()), box("c2", plainLabels()), box("c3", plainLabels())
		heardOf := box("c4", plainLabels())
		for _, c := range []*watcher.Container{&again, &young, &ended, &heardOf} {
			c.Started = asked.Add(time.Millisecond)
		}
		r.send(watcher.Event{Kind: watcher.Listed, At: asked, Present: map[string]bool{"c1": false}})
		r.removed("c4") // which nobody had told of
		r.adopt(foundOf(again, status.StateHealthy, ""), foundOf(young, status.StateHealthy, ""),
			foundOf(ended, status.StateHealthy, ""), foundOf(heardOf, status.StateHealthy, ""))
		r.says("c4 stopped gone", "c4 deleted web/web")
		r.removed("c3")
		r.says("c3 stopped gone", "c3 deleted web/web")
		r.running(again)
		r.says("c1 healthy")
		r.listed("c1")
		r.says("c2 stopped gone", "c2 deleted web/web")
	})
}

// Where the clock was set back since, every life began in the future.
func TestOrphansOfTheFuture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nodeConfig())
		c := box("c1", plainLabels())
		c.Started = time.Now().Add(time.Hour)
		r.listed()
		r.adopt(foundOf(c, status.StateHealthy, ""))
		r.says("c1 stopped gone", "c1 deleted web/web")
	})
}

// etcd was restored from a backup: the agent knows better.
func TestAdoptedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t)
		c, plain := box("c1", probedLabels()), box("c2", plainLabels())
		r.running(c)
		r.running(plain)
		r.listed("c1", "c2")
		r.passes("c1")
		r.fails("c1", "timeout")
		r.forget()
		want := r.etcd.content()
		r.etcd.adopted = false
		for k, s := range want { // a Writer wants what it wanted
			r.etcd.Set(k, s, time.Now())
		}
		r.adopt(foundOf(c, status.StateHealthy, ""), foundOf(plain, status.StatePaused, ""), foundOf(box("c9", nil), status.StateHealthy, ""))
		r.forget()
		for k, s := range r.etcd.content() {
			if s.State != want[k].State {
				t.Errorf("%v is %q, want %q", k, s.State, want[k].State)
			}
		}
		if len(r.etcd.content()) != 2 {
			t.Errorf("etcd holds %v", r.etcd.content())
		}
	})
}

// Docker may never tell the details of a container that has ended: one that
// hangs in its removal, or whose inspect fails. Nobody is to send to it
// meanwhile.
func TestFoundThatDoesNotRunIsStoppedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nodeConfig())
		c := box("c1", probedLabels())
		r.adopt(foundOf(c, status.StateHealthy, ""))
		r.send(watcher.Event{Kind: watcher.Listed, Present: map[string]bool{"c1": false}})
		r.says("c1 stopped exited")
		r.send(watcher.Event{Kind: watcher.Listed, Present: map[string]bool{"c1": false}})
		r.says()
		r.exited(c, watcher.Exit{Known: true, Code: 3})
		r.says("c1 stopped exited")
		if _, s := r.only(); s.Detail != "exit code 3" {
			t.Errorf("detail %q", s.Detail)
		}
		r.removed("c1")
		r.says("c1 deleted web/web")
	})
}
