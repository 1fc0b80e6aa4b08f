package watcher

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

// What the stream keeps back the next listing shows, and it is counted.
func TestDroppedEvents(t *testing.T) {
	f := newFixture(t, dockertest.Config{})
	f.w.listEvery = 10 * time.Millisecond
	f.start()
	stop := f.s.DropEvents(func(events.Message) bool { return true })
	web := f.s.Run(ours("web"))
	f.until(Running, web.ID)
	f.s.Pause(web.ID)
	if e := f.until(Running, web.ID); !e.Container.Paused {
		t.Error("not paused")
	}
	f.s.Unpause(web.ID)
	f.until(Running, web.ID)
	f.s.Rename(web.ID, "shop")
	if e := f.until(Running, web.ID); e.Container.Name != "shop" {
		t.Errorf("named %q", e.Container.Name)
	}
	f.s.Connect(web.ID, "aaa", "10.1.1.1")
	if e := f.until(Running, web.ID); len(e.Container.Networks) != 2 {
		t.Errorf("networks %v", e.Container.Networks)
	}
	f.s.Die(web.ID, 3)
	if e := f.until(Exited, web.ID); e.Exit.Code != 3 {
		t.Errorf("exit %+v", e.Exit)
	}
	f.s.Start(web.ID)
	f.until(Running, web.ID)
	f.s.Remove(web.ID)
	f.until(Exited, web.ID)
	f.expect(Removed, web.ID)
	stop()
	f.tells()
	// Some of these were told by a replay: a stream that kept something back is opened anew.
	if n := f.corrections(); n == 0 || n > 8 {
		t.Errorf("%d corrections of 8 changes", n)
	}
	if n := testutil.ToFloat64(f.w.metrics.reconnects); n == 0 {
		t.Error("the stream was not opened anew")
	}
}

func TestReorderedEvents(t *testing.T) {
	f := newFixture(t, dockertest.Config{})
	f.w.listEvery = 10 * time.Millisecond
	f.start()
	for _, order := range [][2]string{{"start", "die"}, {"die", "start"}, {"kill", "start"}, {"disconnect", "connect"}, {"die", "destroy"}} {
		stop := f.s.ReorderEvents(dockertest.Actions(order[0]), dockertest.Actions(order[1]))
		for _, name := range []string{"a", "b", "c"} {
			c := f.s.Run(ours(order[0] + name))
			f.s.Restart(c.ID)
			f.s.Restart(c.ID)
			if name == "b" {
				f.s.Stop(c.ID)
			}
			if name == "c" {
				f.s.Remove(c.ID)
			}
		}
		stop()
	}
	f.truth()
}

// A stream that is cut is opened anew from where it was.
func TestCutStreams(t *testing.T) {
	for name, cut := range map[string]func(*dockertest.Server){
		"cut": (*dockertest.Server).CutStreams, "end": (*dockertest.Server).EndStreams,
		"connections": func(s *dockertest.Server) { s.CutOff(); s.Up() },
	} {
		t.Run(name, func(t *testing.T) {
			f := started(t, dockertest.Config{})
			web := f.s.Run(ours("web"))
			f.expect(Running, web.ID)
			for range 5 {
				cut(f.s)
				f.must(f.s.AwaitStreams(f.soon(), 0))
				f.s.Die(web.ID, 1)
				f.s.Start(web.ID)
				f.s.Kill(web.ID, "TERM")
				f.until(Running, web.ID)
				f.expect(Stopping, web.ID)
				f.tells()
			}
		})
	}
}

// A daemon that was away has lost its events; a listing shows what happened.
func TestDaemonAway(t *testing.T) {
	f := started(t, dockertest.Config{})
	stays, dies, goes := f.s.Run(ours("stays")), f.s.Run(ours("dies")), f.s.Run(ours("goes"))
	f.gather(map[string]Kind{stays.ID: Running, dies.ID: Running, goes.ID: Running})
	f.s.Down()
	f.s.Die(dies.ID, 3)
	f.s.Remove(goes.ID)
	comes := f.s.Run(ours("comes"))
	f.s.Restart(stays.ID)
	f.s.Up()
	want := map[string]Kind{stays.ID: Running, dies.ID: Exited, goes.ID: Removed, comes.ID: Running}
	f.gather(want)
	f.tells()
	if n := f.corrections(); n != 4 {
		t.Errorf("%d corrections, want 4", n)
	}
	if n := f.s.Streams(); n != 1 {
		t.Errorf("%d streams", n)
	}
}

// A life that nothing told of, neither its beginning nor its end, looks in a
// listing like the death before it.
func TestLifeWhileDaemonAway(t *testing.T) {
	f := started(t, dockertest.Config{})
	lives, rests := f.s.Run(ours("lives")), f.s.Run(ours("rests"))
	f.s.OOM(lives.ID)
	f.s.Die(rests.ID, 1)
	f.gather(map[string]Kind{lives.ID: Exited, rests.ID: Exited})
	f.s.Down()
	f.s.Start(lives.ID)
	f.s.Die(lives.ID, codeKilled)
	f.s.Up()
	now, _ := f.s.Container(lives.ID)
	if e := f.expect(Exited, lives.ID); e.Exit != (Exit{Known: true, Code: codeKilled}) || !e.Container.Started.Equal(now.StartedAt) {
		t.Errorf("%+v, started %v", e, now.StartedAt)
	}
	f.tells()
	if n := f.corrections(); n != 1 {
		t.Errorf("%d corrections, want 1", n)
	}
}

func TestDaemonNotThereAtStart(t *testing.T) {
	f := newFixture(t, dockertest.Config{})
	web := f.s.Run(ours("web"))
	f.s.Down()
	f.run()
	f.await("it is said", func() bool { return f.said("events do not flow") > 0 })
	if f.w.Flowing() {
		t.Error("flowing without Docker")
	}
	f.s.Up()
	f.until(Running, web.ID)
	f.expect(Synced, "")
	f.awaitFlowing()
}

// Whatever hangs for a while, all is right when it answers again, and nothing
// is told twice.
func TestHang(t *testing.T) {
	for _, endpoint := range []string{dockertest.Ping, dockertest.Events, dockertest.List, dockertest.Inspect, dockertest.Everything} {
		t.Run(endpoint, func(t *testing.T) {
			f := newFixture(t, dockertest.Config{})
			f.w.listEvery = 20 * time.Millisecond
			f.start()
			web := f.s.Run(ours("web"))
			f.until(Running, web.ID)
			f.s.Hang(endpoint)
			defer f.s.Unhang(endpoint)
			n := f.s.Requests(endpoint)
			f.s.CutStreams()
			f.s.Die(web.ID, 1)
			f.s.Run(ours("other"))
			f.await("it was asked for", func() bool { return f.s.Requests(endpoint) > n })
			f.s.Unhang(endpoint)
			f.truth()
			f.tells()
			f.awaitFlowing()
		})
	}
}

// An inspect that hangs keeps no other container waiting for its events, nor a
// listing.
func TestHangOfOneInspect(t *testing.T) {
	f := started(t, dockertest.Config{})
	web := f.s.Run(ours("web"))
	f.expect(Running, web.ID)
	stuck := "/containers/" + web.ID + "/json"
	f.s.Hang(stuck)
	f.s.Rename(web.ID, "shop")
	other := f.s.Run(ours("other"))
	f.expect(Running, other.ID)
	f.s.Die(web.ID, 1)
	f.expect(Exited, web.ID)
	f.s.Stop(other.ID)
	f.until(Exited, other.ID)
	f.s.CutStreams()
	f.expect(Listed, "")
	f.s.Unhang(stuck)
	f.untilToldOf(web.ID, "exited shop 1")
	f.tells()
}

// While the stream hangs, listings go on.
func TestHangOfEvents(t *testing.T) {
	f := newFixture(t, dockertest.Config{})
	f.s.Hang(dockertest.Events)
	f.w.listEvery = 10 * time.Millisecond
	web := f.s.Run(ours("web"))
	f.run()
	f.until(Listed, "") // although no stream was ever opened
	f.until(Synced, "")
	if f.w.Flowing() {
		t.Error("flowing without a stream")
	}
	f.s.Die(web.ID, 1)
	f.until(Exited, web.ID)
	f.s.Unhang(dockertest.Events)
	f.awaitFlowing()
}

func TestFail(t *testing.T) {
	for _, endpoint := range []string{dockertest.Ping, dockertest.Events, dockertest.List, dockertest.Inspect, dockertest.Everything} {
		t.Run(endpoint, func(t *testing.T) {
			f := newFixture(t, dockertest.Config{})
			f.w.listEvery = 20 * time.Millisecond
			f.start()
			web := f.s.Run(ours("web"))
			f.until(Running, web.ID)
			f.s.Fail(endpoint, 500)
			n := f.s.Requests(endpoint)
			f.s.CutStreams()
			f.s.Run(ours("other"))
			f.s.Die(web.ID, 1)
			f.await("it was asked for twice", func() bool { return f.s.Requests(endpoint) > n+1 })
			f.s.Fail(endpoint, 0)
			f.truth()
			f.tells()
			f.awaitFlowing()
		})
	}
}

// A stream that ends at once is not flowing, is said once, and is not opened
// without pause.
func TestStreamThatEndsAtOnce(t *testing.T) {
	f := started(t, dockertest.Config{})
	f.s.Fail(dockertest.Events, 500)
	f.s.CutStreams()
	n := f.s.Requests(dockertest.Events)
	for i := range 5 {
		f.await("it is tried again", func() bool { return f.s.Requests(dockertest.Events) > n+i })
		if f.w.Flowing() {
			t.Error("flowing")
		}
	}
	if n := f.said("events do not flow"); n != 1 {
		t.Errorf("said %d times", n)
	}
	f.s.Fail(dockertest.Events, 0)
	f.expect(Running, f.s.Run(ours("web")).ID)
}

func TestVersions(t *testing.T) {
	for _, version := range []string{"1.41", "1.44", "1.51", "1.52"} {
		f := started(t, dockertest.Config{APIVersion: version})
		f.expect(Running, f.s.Run(ours("web")).ID)
		cli, err := f.w.docker.current()
		if want := min(version, "1.51"); err != nil || cli.ClientVersion() != want {
			t.Errorf("speaks %q with %q: %v", cli.ClientVersion(), version, err)
		}
		f.finish()
	}
	f := newFixture(t, dockertest.Config{APIVersion: "1.40"}).run()
	f.await("the version is said", func() bool { return f.said("its API is 1.40, want 1.41 (Docker 20.10) or newer") > 0 })
	if n := f.s.Requests(dockertest.List); n != 0 {
		t.Errorf("%d listings of a daemon that is too old", n)
	}
}

func TestTCP(t *testing.T) {
	f := started(t, dockertest.Config{TCP: true})
	f.expect(Running, f.s.Run(ours("web")).ID)
}

func TestFind(t *testing.T) {
	s := dockertest.New(t, dockertest.Config{})
	web, dead := s.Run(ours("web")), s.Run(ours("dead"))
	s.Die(dead.ID, 1)
	cfg := Config{Endpoint: s.Endpoint()}
	for _, name := range []string{web.ID, web.ID[:12], "web"} {
		if c, err := Find(t.Context(), cfg, name); err != nil || c.ID != web.ID || c.Addr.String() != web.Networks["bridge"] {
			t.Errorf("%q: %+v, %v", name, c, err)
		}
	}
	for name, want := range map[string]string{
		"dead": `looking for container "dead" in Docker at "` + s.Endpoint() + `": it does not run`,
		"none": `looking for container "none" in Docker at "` + s.Endpoint() + `": there is none`,
	} {
		if _, err := Find(t.Context(), cfg, name); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", name, err, want)
		}
	}
	if _, err := Find(t.Context(), Config{Endpoint: "unix:///nowhere/docker.sock"}, "web"); err == nil {
		t.Error("found without Docker")
	}
}

// TestSaysWhyThereIsNoConnection has Docker's client name the cause, which may be the agent's own.
func TestSaysWhyThereIsNoConnection(t *testing.T) {
	d := &docker{cfg: Config{Endpoint: "unix://" + t.TempDir() + "/nobody.sock"}}
	if _, err := d.connect(t.Context()); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("it says %v, and not that there is no such socket", err)
	}
}
