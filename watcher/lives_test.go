package watcher

import (
	"reflect"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/events"

	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

func TestLife(t *testing.T) {
	f := started(t, dockertest.Config{})
	var web dockertest.Container
	budget := 0 // of all steps so far: the last of one may come late
	inspects := func(step string, more int, do func()) {
		t.Helper()
		do()
		f.tells()
		budget += more
		if got := f.inspects(web.ID); got > budget {
			t.Errorf("%s: %d inspects so far, want at most %d", step, got, budget)
		}
	}
	inspects("run", 1, func() {
		spec := ours("web")
		spec.StopTimeout = 7
		web = f.s.Run(spec)
		e := f.expect(Running, web.ID)
		c := e.Container
		if c.ID != web.ID || !c.Started.Equal(web.StartedAt) || c.Labels["ERU"] != "1" || describe(e) != "running web 127.17.0.3" ||
			c.StopTimeout != 7*time.Second || c.StopSignal != syscall.SIGTERM || e.At.IsZero() {
			t.Errorf("%+v", e)
		}
	})
	inspects("pause", 1, func() {
		f.s.Pause(web.ID)
		if e := f.expect(Running, web.ID); !e.Container.Paused {
			t.Error("not paused")
		}
	})
	inspects("unpause", 1, func() {
		f.s.Unpause(web.ID)
		if e := f.expect(Running, web.ID); e.Container.Paused {
			t.Error("paused")
		}
	})
	inspects("rename", 1, func() {
		f.s.Rename(web.ID, "shop")
		if e := f.expect(Running, web.ID); e.Container.Name != "shop" {
			t.Errorf("name %q", e.Container.Name)
		}
	})
	inspects("connect", 1, func() {
		f.s.Connect(web.ID, "aaa", "10.1.1.1")
		e := f.expect(Running, web.ID)
		if n := e.Container.Networks; len(n) != 2 || n["aaa"].String() != "10.1.1.1" || e.Container.Addr != n["bridge"] {
			t.Errorf("networks %v, address %v", n, e.Container.Addr)
		}
	})
	inspects("disconnect", 2, func() { // Docker tells of it twice
		f.s.Disconnect(web.ID, "bridge")
		if e := f.expect(Running, web.ID); e.Container.Addr.String() != "10.1.1.1" {
			t.Errorf("address %v", e.Container.Addr)
		}
	})
	inspects("stop", 0, func() {
		f.s.BeginStop(web.ID)
		if e := f.expect(Stopping, web.ID); e.Signal != syscall.SIGTERM || !e.Container.Started.Equal(web.StartedAt) {
			t.Errorf("%+v", e)
		}
		f.s.Die(web.ID, 5)
		if e := f.expect(Exited, web.ID); !e.Exit.Known || e.Exit.Code != 5 || e.Exit.OOM || !e.Container.Started.Equal(web.StartedAt) {
			t.Errorf("%+v", e)
		}
	})
	inspects("remove", 0, func() {
		f.s.Remove(web.ID)
		f.expect(Removed, web.ID)
	})
	if n := f.corrections(); n != 0 {
		t.Errorf("%d corrections", n)
	}
}

func TestOOM(t *testing.T) {
	f := started(t, dockertest.Config{})
	web := f.s.Run(ours("web"))
	f.expect(Running, web.ID)
	f.s.OOM(web.ID)
	f.tells("exited web 137 oom")
	f.s.Start(web.ID)
	f.expect(Running, web.ID)
	f.s.Die(web.ID, 1)
	f.tells("exited web 1")
}

// Docker says of a life that ended for want of memory that it did, also where no event has.
func TestOOMUnheard(t *testing.T) {
	f := started(t, dockertest.Config{})
	web := f.s.Run(ours("web"))
	f.expect(Running, web.ID)
	defer f.s.DropEvents(dockertest.Actions("oom"))()
	f.s.OOM(web.ID)
	f.untilToldOf(web.ID, "exited web 137 oom")
	f.s.Start(web.ID)
	f.expect(Running, web.ID)
	f.tells()
	n := f.inspects(web.ID)
	f.s.Kill(web.ID, "KILL")
	f.until(Exited, web.ID)
	f.tells()
	if got := f.inspects(web.ID) - n; got != 0 {
		t.Errorf("%d inspects of one that was killed", got)
	}
}

// An OOM kill of a child is not what ends the container days later.
func TestOOMOfChild(t *testing.T) {
	f := newFixture(t, dockertest.Config{}).believed().start()
	process := newChild(t)
	web := f.s.Run(oursWith("web", process))
	f.expect(Running, web.ID)
	oom := events.Message{Type: events.ContainerEventType, Action: events.ActionOOM, Actor: events.Actor{ID: web.ID, Attributes: map[string]string{"ERU": "1"}}}
	f.s.Emit(oom)
	f.tells()
	process.kill()
	f.s.Die(web.ID, 0)
	if e := f.until(Exited, web.ID); !e.Exit.Known {
		f.expect(Exited, web.ID)
	}
	if e := f.told[web.ID]; e.Exit != (Exit{Known: true}) {
		t.Errorf("%+v", e.Exit)
	}
	f.s.NextLife(web.ID, dockertest.Life{Pid: newChild(t).pid})
	f.s.Start(web.ID)
	f.expect(Running, web.ID)
	f.s.Emit(oom)
	f.tells()
	f.s.Remove(web.ID)
	f.until(Removed, web.ID)
}

func TestRemoveWhileRunning(t *testing.T) {
	f := started(t, dockertest.Config{})
	web := f.s.Run(ours("web"))
	f.expect(Running, web.ID)
	f.s.Remove(web.ID)
	f.until(Exited, web.ID)
	f.expect(Removed, web.ID)
	f.tells()
}

func TestSignals(t *testing.T) {
	for _, test := range []struct {
		stop, sent string
		want       syscall.Signal // 0 for none
	}{
		{"", "TERM", syscall.SIGTERM},
		{"", "HUP", 0},
		{"", "USR1", 0},
		{"SIGUSR1", "USR1", syscall.SIGUSR1},
		{"SIGUSR1", "TERM", syscall.SIGTERM},
		{"SIGUSR1", "USR2", 0},
		{"12", "USR2", syscall.SIGUSR2},
		{"quit", "3", syscall.SIGQUIT},
		{"SIGRTMIN+3", "37", 37},
		{"RTMAX-1", "63", 63},
		{"RTMIN", "34", 34},
		{"nonsense", "TERM", syscall.SIGTERM},
	} {
		t.Run(test.stop+" "+test.sent, func(t *testing.T) {
			f := started(t, dockertest.Config{})
			spec := ours("web")
			spec.StopSignal = test.stop
			web := f.s.Run(spec)
			f.expect(Running, web.ID)
			f.s.Kill(web.ID, test.sent)
			if test.want == 0 {
				f.tells()
				return
			}
			if e := f.expect(Stopping, web.ID); e.Signal != test.want {
				t.Errorf("signal %d, want %d", e.Signal, test.want)
			}
		})
	}
}

// A signal that says nothing does not hide one that does.
func TestSignalsTogether(t *testing.T) {
	q := newQueue()
	for _, n := range []int{15, 1, 0, -3, 65, 900} {
		q.add("a", func(w *word) { w.apply(kill("a", n), time.Now()) })
	}
	w, _ := q.take()
	for sig, want := range map[syscall.Signal]bool{15: true, 1: true, 0: false, 2: false, 64: false, 65: false} {
		if _, sent := w.signals[sig]; sent != want {
			t.Errorf("signal %d: %v", sig, sent)
		}
	}
}

// A start that is heard with the end of the life before it hides neither.
func TestEndAndStartTogether(t *testing.T) {
	w := word{id: "a"}
	now := time.Now()
	w.apply(kill("a", 15), now)
	w.apply(events.Message{Action: events.ActionOOM}, now)
	w.apply(events.Message{Action: events.ActionDie, Actor: events.Actor{Attributes: map[string]string{"exitCode": "137"}}}, now)
	w.apply(events.Message{Action: events.ActionStart}, now.Add(time.Second))
	want := word{id: "a", started: true, renewed: true, refresh: true, died: true, diedAt: w.diedAt, exit: Exit{Known: true, Code: 137, OOM: true}}
	if !reflect.DeepEqual(w, want) {
		t.Errorf("%+v, want %+v", w, want)
	}
	w.apply(kill("a", 15), now.Add(2*time.Second))
	if len(w.signals) != 1 {
		t.Error("the new life's signal is lost")
	}
}

func kill(id string, n int) events.Message {
	return events.Message{Type: events.ContainerEventType, Action: events.ActionKill,
		Actor: events.Actor{ID: id, Attributes: map[string]string{"signal": strconv.Itoa(n)}}}
}

func TestRestart(t *testing.T) {
	f := started(t, dockertest.Config{})
	web := f.s.Run(ours("web"))
	f.expect(Running, web.ID)
	f.s.NextLife(web.ID, dockertest.Life{Networks: map[string]string{"bridge": "127.17.9.9"}})
	f.s.Restart(web.ID)
	e := f.until(Running, web.ID)
	if now, _ := f.s.Container(web.ID); !e.Container.Started.Equal(now.StartedAt) || now.StartedAt.Equal(web.StartedAt) {
		t.Errorf("life of %v, want %v", e.Container.Started, now.StartedAt)
	}
	if e.Container.Addr.String() != "127.17.9.9" {
		t.Errorf("address %v", e.Container.Addr)
	}
	f.tells()
}

// A life whose end and whose successor's start are heard in one breath has
// ended although Docker tells nothing of the successor.
func TestRestartWhileInspectHangs(t *testing.T) {
	f := started(t, dockertest.Config{})
	web := f.s.Run(ours("web"))
	f.expect(Running, web.ID)
	f.s.Hang(dockertest.Inspect)
	f.s.Restart(web.ID)
	if e := f.until(Exited, web.ID); !e.Container.Started.Equal(web.StartedAt) {
		t.Errorf("exit of %v, want of %v", e.Container.Started, web.StartedAt)
	}
	f.s.Unhang(dockertest.Inspect)
	f.expect(Running, web.ID)
	f.tells()
}

func TestRestartPolicy(t *testing.T) {
	f := started(t, dockertest.Config{})
	spec := ours("web")
	spec.RestartPolicy = "always"
	web := f.s.Run(spec)
	f.expect(Running, web.ID)
	for range 3 {
		f.s.Die(web.ID, 1)
		f.expect(Exited, web.ID)
		f.s.Connect(web.ID, "other", "") // told of by nothing
		f.tells()
		f.s.Start(web.ID)
		f.expect(Running, web.ID)
	}
	f.s.Die(web.ID, 1)
	f.expect(Exited, web.ID)
	f.s.Stop(web.ID) // gives only stop
	f.tells()
	if got := f.inspects(web.ID); got != 4 {
		t.Errorf("%d inspects, want 4: one a life", got)
	}
}

// A life that ends before Docker was asked about it is told of nevertheless.
func TestDieBeforeInspect(t *testing.T) {
	f := started(t, dockertest.Config{})
	f.s.Hang(dockertest.Inspect)
	web := f.s.Run(ours("web"))
	f.must(f.s.AwaitRequests(f.soon(), dockertest.Inspect, 2))
	f.s.Kill(web.ID, "TERM")
	f.s.Die(web.ID, 9)
	f.s.Unhang(dockertest.Inspect)
	e := f.expect(Exited, web.ID)
	if e.Exit.Code != 9 || !e.Container.Started.Equal(web.StartedAt) {
		t.Errorf("%+v", e)
	}
	f.tells()
}

// A stop signal that comes before Docker has told of the life is not lost.
func TestStopBeforeInspect(t *testing.T) {
	f := started(t, dockertest.Config{})
	f.s.Hang(dockertest.Inspect)
	web := f.s.Run(ours("web"))
	f.must(f.s.AwaitRequests(f.soon(), dockertest.Inspect, 2))
	f.s.Kill(web.ID, "TERM")
	f.s.Kill(f.fence, "TERM") // told at once: what was heard before has been acted on
	f.expect(Stopping, f.fence)
	f.s.Unhang(dockertest.Inspect)
	f.expect(Running, web.ID)
	f.expect(Stopping, web.ID)
	f.tells()
}

// Nor is one that comes before the first listing, or for a container that is not
// known yet.
func TestStopBeforeListing(t *testing.T) {
	f := newFixture(t, dockertest.Config{})
	web := f.s.Run(ours("web"))
	other := f.s.Run(dockertest.Spec{Name: "other"})
	f.s.ForgetEvents()
	f.s.Hang(dockertest.List)
	f.s.Hang(dockertest.Inspect)
	f.run()
	f.must(f.s.AwaitStreams(f.soon(), 1))
	f.s.Kill(web.ID, "TERM")
	f.s.Kill(other.ID, "TERM")
	f.must(f.s.AwaitRequests(f.soon(), dockertest.Inspect, 1))
	f.s.Unhang(dockertest.List)
	f.expect(Listed, "")
	f.s.Unhang(dockertest.Inspect)
	f.expect(Running, web.ID)
	f.expect(Stopping, web.ID)
	f.expect(Synced, "")
	if n := f.inspects(other.ID); n != 0 {
		t.Errorf("%d inspects of a container that is not ours", n)
	}
}

func TestStopOfPaused(t *testing.T) {
	f := started(t, dockertest.Config{})
	web := f.s.Run(ours("web"))
	f.expect(Running, web.ID)
	f.s.Pause(web.ID)
	f.expect(Running, web.ID)
	f.s.BeginStop(web.ID)
	f.expect(Stopping, web.ID)
	if e := f.expect(Running, web.ID); e.Container.Paused {
		t.Error("still paused")
	}
	f.s.Die(web.ID, 0)
	f.expect(Exited, web.ID)
	f.tells()
}

func TestNotOurs(t *testing.T) {
	f := started(t, dockertest.Config{})
	other := f.s.Run(dockertest.Spec{Name: "other"})
	f.s.Connect(other.ID, "net", "")
	f.s.Disconnect(other.ID, "net")
	f.s.Pause(other.ID)
	f.s.Unpause(other.ID)
	f.s.Rename(other.ID, "another")
	f.s.Exec(other.ID, "true", 0)
	f.s.Restart(other.ID)
	f.s.OOM(other.ID)
	f.s.Remove(other.ID)
	f.tells()
	if n := f.inspects(other.ID); n != 0 {
		t.Errorf("%d inspects of a container that is not ours", n)
	}
}

// A container may get another name with its end or after it, and nobody but a listing may tell of it.
func TestRenameOfTheDead(t *testing.T) {
	f := started(t, dockertest.Config{})
	web := f.s.Run(ours("web"))
	f.expect(Running, web.ID)
	f.s.Hang(dockertest.Inspect)
	f.s.Rename(web.ID, "shop")
	f.s.Die(web.ID, 1)
	f.expect(Exited, web.ID)
	f.s.Unhang(dockertest.Inspect)
	f.untilToldOf(web.ID, "exited shop 1")
	f.s.Rename(web.ID, "site")
	f.untilToldOf(web.ID, "exited site 1")
	lost := f.s.DropEvents(dockertest.Of(web.ID))
	f.s.Rename(web.ID, "web")
	f.tells()
	lost()
	f.s.ForgetEvents()
	f.s.CutStreams() // and so a listing
	f.untilToldOf(web.ID, "exited web 1")
	f.tells()
}
