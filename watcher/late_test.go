package watcher

import (
	"testing"
	"time"

	"github.com/docker/docker/api/types/events"

	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

// A listing that lags behind a die, as that of Docker 20.10 does, brings
// nothing back; nor does an inspect that lags.
func TestLaggingDocker(t *testing.T) {
	for name, stale := range map[string]bool{"inspect waits": false, "inspect lags too": true} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, dockertest.Config{DeathLag: -1, StaleInspect: stale})
			f.w.listEvery = 5 * time.Millisecond
			f.start()
			web := f.s.Run(ours("web"))
			f.until(Running, web.ID)
			f.tells()
			before := f.corrected(web.ID) // a listing may have overtaken the start
			f.s.Die(web.ID, 1)
			f.until(Exited, web.ID)
			n := f.s.Requests(dockertest.List)
			f.await("some listings were compared", func() bool { return f.s.Requests(dockertest.List) > n+5 })
			f.tells()
			f.s.Settle("")
			n = f.s.Requests(dockertest.List)
			f.await("some listings were compared", func() bool { return f.s.Requests(dockertest.List) > n+5 })
			f.tells()
			if n := f.corrected(web.ID) - before; n != 0 {
				t.Errorf("%d corrections", n)
			}
		})
	}
}

// The same for a life that had not been seen when it died.
func TestLaggingDockerBeforeFirstSight(t *testing.T) {
	f := started(t, dockertest.Config{DeathLag: -1, StaleInspect: true})
	f.s.Hang(dockertest.Inspect)
	web := f.s.Run(ours("web"))
	f.must(f.s.AwaitRequests(f.soon(), dockertest.Inspect, 2))
	f.s.Die(web.ID, 1)
	f.s.Kill(f.fence, "TERM")
	f.expect(Stopping, f.fence)
	f.s.Unhang(dockertest.Inspect)
	f.tells()
	f.s.Settle("")
	f.s.CutStreams() // and so a listing
	f.expect(Exited, web.ID)
}

// An answer that was under way when the container died is not believed.
func TestDieWhileInspectIsUnderWay(t *testing.T) {
	f := started(t, dockertest.Config{})
	web := f.s.Run(ours("web"))
	f.expect(Running, web.ID)
	f.s.Hang(dockertest.Inspect)
	n := f.s.Requests(dockertest.Inspect)
	f.s.Rename(web.ID, "shop")
	f.must(f.s.AwaitRequests(f.soon(), dockertest.Inspect, n+1))
	f.s.Die(web.ID, 1)
	f.expect(Exited, web.ID)
	f.s.Unhang(dockertest.Inspect)
	f.untilToldOf(web.ID, "exited shop 1")
	f.tells()
}

// A die that is told again, late, is not the new life's.
func TestStaleDie(t *testing.T) {
	f := started(t, dockertest.Config{})
	web := f.s.Run(ours("web"))
	f.expect(Running, web.ID)
	stop := f.s.ReorderEvents(dockertest.Actions("die"), dockertest.Actions("pause"))
	f.s.Die(web.ID, 1)
	f.s.Start(web.ID)
	e := f.until(Running, web.ID)
	if e.Container.Started.Equal(web.StartedAt) {
		t.Error("told of the first life")
	}
	f.tells() // pauses the fence, which lets the die go
	stop()

	die := events.Message{Type: events.ContainerEventType, Action: events.ActionDie, TimeNano: web.StartedAt.UnixNano() + 1,
		Actor: events.Actor{ID: web.ID, Attributes: map[string]string{"ERU": "1", "exitCode": "7"}}}
	f.s.Emit(die)
	f.tells()

	f.s.Die(web.ID, 2)
	f.expect(Exited, web.ID)
	f.s.Emit(die)
	f.tells()
}

// A stop signal that is told again, late, was not sent to the new life: a stream that is opened anew after a listing has
// shown that life tells what it had kept back.
func TestStaleKill(t *testing.T) {
	f := started(t, dockertest.Config{})
	web := f.s.Run(ours("web"))
	f.expect(Running, web.ID)
	drop := f.s.DropEvents(func(events.Message) bool { return true })
	f.s.BeginStop(web.ID)
	f.s.Die(web.ID, 0)
	f.s.Start(web.ID)
	f.s.Rename(web.ID, "shop")
	drop()
	f.w.listNow <- struct{}{}
	if e := f.expect(Running, web.ID); e.Container.Started.Equal(web.StartedAt) {
		t.Error("told of the first life")
	}
	f.s.CutStreams()
	f.must(f.s.AwaitRequests(f.soon(), dockertest.Events, 2))
	f.tells()
	f.s.BeginStop(web.ID)
	f.expect(Stopping, web.ID)
}

// By a clock that was set back all signals are older than the life that they were sent to.
func TestReach(t *testing.T) {
	now := time.Now()
	for _, test := range []struct {
		name          string
		started, sent time.Time
		want          bool
	}{
		{"after the start", now.Add(-time.Minute), now, true},
		{"at the start", now.Add(-time.Minute), now.Add(-time.Minute), true},
		{"before the start", now.Add(-time.Minute), now.Add(-time.Hour), false},
		{"by a clock that was set back", now.Add(time.Hour), now, true},
	} {
		sent := signals(nil).with(15, test.sent)
		if got := sent.reach(15, Container{Started: test.started}); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
		if sent.reach(9, Container{}) {
			t.Error("one that was not sent")
		}
	}
}

func TestDuplicatedEvents(t *testing.T) {
	f := started(t, dockertest.Config{})
	defer f.s.DuplicateEvents(func(events.Message) bool { return true })()
	web := f.s.Run(ours("web"))
	f.expect(Running, web.ID)
	f.tells()
	f.s.BeginStop(web.ID)
	f.expect(Stopping, web.ID)
	f.tells()
	f.s.Die(web.ID, 1)
	f.tells("exited web 1")
	f.s.Start(web.ID)
	f.expect(Running, web.ID)
	f.s.Remove(web.ID)
	f.until(Removed, web.ID)
	f.tells()
	if n := f.corrections(); n != 0 {
		t.Errorf("%d corrections", n)
	}
}

// A clock that was set back makes no life immortal and none invisible.
func TestClockSetBack(t *testing.T) {
	f := started(t, dockertest.Config{})
	web := f.s.Run(ours("web"))
	f.expect(Running, web.ID)
	defer f.s.DropEvents(dockertest.Actions("die"))()
	f.s.Die(web.ID, 1)
	f.s.Emit(events.Message{Type: events.ContainerEventType, Action: "died", TimeNano: web.StartedAt.Add(-time.Hour).UnixNano(),
		Actor: events.Actor{ID: web.ID, Attributes: map[string]string{"ERU": "1", "exitCode": "1"}}})
	f.expect(Exited, web.ID)
	f.tells()
}

func TestOutlived(t *testing.T) {
	now := time.Now()
	old, next := Container{Started: now.Add(-time.Hour)}, Container{Started: now}
	for _, test := range []struct {
		name string
		r    record
		c    Container
		want bool
	}{
		{"a life that goes on", record{phase: phaseRunning, c: old}, old, false},
		{"a life that has ended", record{phase: phaseExited, c: old, died: now, heard: now}, old, true},
		{"for good", record{phase: phaseExited, c: old}, old, true},
		{"the next", record{phase: phaseExited, c: old, died: now.Add(-time.Minute), heard: now}, next, false},
		{"one that died unseen", record{died: now, heard: now}, old, true},
		{"the next, by a clock that was set back", record{phase: phaseExited, c: old, died: now.Add(time.Hour), heard: now.Add(-lagMax)}, next, false},
	} {
		if got := test.r.outlived(test.c); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

// The same for a life that ended before anybody listened: its end is told again.
func TestLaggingDockerAtStart(t *testing.T) {
	f := newFixture(t, dockertest.Config{DeathLag: -1, StaleInspect: true})
	web := f.s.Run(ours("web"))
	f.s.Die(web.ID, 1)
	f.run()
	go func() {
		if err := f.s.AwaitRequests(f.soon(), dockertest.Inspect, 3); err != nil {
			t.Error(err)
		}
		f.s.Settle("")
	}()
	for e := f.next(); e.Kind != Exited; e = f.next() {
		if e.Kind == Running {
			t.Fatal("what has ended is said to run")
		}
	}
}

// A signal that was sent shortly before anybody listened is one that the container still deals with.
func TestSignalBeforeTheStart(t *testing.T) {
	f := newFixture(t, dockertest.Config{})
	web := f.s.Run(ours("web"))
	f.s.Kill(web.ID, "TERM")
	f.run()
	f.until(Stopping, web.ID)
}
