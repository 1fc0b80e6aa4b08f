package watcher

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docker/docker/api/types/events"
	"golang.org/x/sys/unix"

	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

// At the agent's start nothing proves yet that Docker's process numbers are this
// kernel's; a dead container that Docker still calls running is not believed.
func TestDeadAtStart(t *testing.T) {
	f := newFixture(t, dockertest.Config{DeathLag: -1, StaleInspect: true}).believed()
	process := newChild(t)
	process.kill()
	web := f.s.Run(oursWith("web", process))
	f.s.Die(web.ID, 3)
	f.s.ForgetEvents()
	f.run()
	f.expect(Listed, "")
	f.must(f.s.AwaitRequests(f.soon(), dockertest.Inspect, 2))
	f.s.Settle("")
	if e := f.expect(Exited, web.ID); e.Exit.Code != 3 {
		t.Errorf("%+v", e)
	}
	f.expect(Synced, "")
}

// Where another container proves it meanwhile, the kernel is believed.
func TestDeadAtStartByKernel(t *testing.T) {
	f := newFixture(t, dockertest.Config{DeathLag: -1, StaleInspect: true}).believed()
	process := newChild(t)
	process.kill()
	web, lives := f.s.Run(oursWith("web", process)), f.s.Run(oursWith("lives", newChild(t)))
	f.s.Die(web.ID, 3)
	f.s.ForgetEvents()
	f.run()
	told := map[string]Kind{}
	for e := f.next(); e.Kind != Synced; e = f.next() {
		told[e.ID] = e.Kind
	}
	if told[web.ID] != Exited || told[lives.ID] != Running {
		t.Errorf("%v", told)
	}
}

// An agent in another PID namespace sees no process; Docker is believed in the
// end, and from then on at once.
func TestOtherNamespace(t *testing.T) {
	f := newFixture(t, dockertest.Config{})
	spec := ours("web")
	spec.Pid = 1 << 30 // no process can have it
	web := f.s.Run(spec)
	f.s.ForgetEvents()
	f.run()
	f.until(Running, web.ID)
	f.expect(Synced, "")
	if n := f.s.Requests(dockertest.Inspect); n != 1+doubtsMax {
		t.Errorf("%d inspects", n)
	}
	spec.Name = "next"
	f.expect(Running, f.s.Run(spec).ID)
	if n := f.s.Requests(dockertest.Inspect); n != 2+doubtsMax {
		t.Errorf("%d inspects", n)
	}
}

// A Docker that comes back with other data ends nothing that lives.
func TestDockerLosesItsData(t *testing.T) {
	f := newFixture(t, dockertest.Config{}).believed().start()
	process, twin := newChild(t), newChild(t)
	web, unwatched := f.s.Run(oursWith("web", process)), f.s.Run(ours("unwatched"))
	loved := f.s.Run(oursWith("loved", twin))
	f.gather(map[string]Kind{web.ID: Running, loved.ID: Running, unwatched.ID: Running})
	f.s.Down()
	f.s.Forget()
	f.s.Up()
	f.fence = f.s.Run(ours("fence2")).ID
	if e := f.until(Listed, ""); !e.Present[web.ID] {
		t.Error("not present")
	}
	f.until(Removed, unwatched.ID)
	f.await("it is said", func() bool { return f.said("whose process lives") == 2 })
	f.s.CutStreams()
	f.until(Listed, "")
	f.settle()
	if f.told[web.ID].Kind != Running || f.told[loved.ID].Kind != Running || f.said("whose process lives") != 2 {
		t.Errorf("told %v; said %v", f.told, f.logs.All())
	}
	if n := f.corrected(web.ID) + f.corrected(loved.ID); n != 0 {
		t.Errorf("%d corrections", n)
	}
	process.kill()
	f.expect(Exited, web.ID)
	f.expect(Removed, web.ID) // which a listing may have found: a correction indeed
	f.s.Emit(events.Message{Type: events.ContainerEventType, Action: events.ActionDestroy, Actor: events.Actor{ID: loved.ID}})
	f.expect(Exited, loved.ID) // by Docker's positive word
	f.expect(Removed, loved.ID)
}

// The kernel's word that was not to be had at first is had later, without a
// question to Docker.
func TestWatchedLater(t *testing.T) {
	f := newFixture(t, dockertest.Config{})
	f.w.listEvery = 5 * time.Millisecond
	var enough atomic.Bool
	process := newChild(t)
	f.w.belongs = only(func(pid int) bool { return pid == process.pid && enough.Load() })
	web := f.s.Run(oursWith("web", process))
	f.s.ForgetEvents()
	f.run()
	f.until(Running, web.ID)
	f.until(Synced, "")
	enough.Store(true)
	f.await("it is watched", func() bool { return f.w.deaths.fate(web.ID, process.pid) == fateAlive })
	n := f.s.Requests(dockertest.Inspect)
	process.kill()
	if e := f.until(Exited, web.ID); e.Exit.Known {
		t.Errorf("%+v", e)
	}
	if now := f.s.Requests(dockertest.Inspect); n > 2 || now > n+2 { // listings that still call it running
		t.Errorf("%d inspects, then %d", n, now-n)
	}
}

func TestHopeful(t *testing.T) {
	d, _ := deathsOf(t)
	var fault error
	d.open = func(pid int) (int, error) {
		if fault != nil {
			return -1, fault
		}
		return open(pid)
	}
	process := newChild(t)
	for _, test := range []struct {
		fault, want error
		hopeful     bool
	}{
		{unix.EMFILE, errNoPidfd, true}, {unix.ENOSYS, errNoPidfd, false}, {unix.EPERM, errNoPidfd, false}, {unix.ESRCH, errUnseen, true},
	} {
		fault = test.fault
		if err := d.watch("a", process.pid); !errors.Is(err, test.want) || d.hopeful() != test.hopeful {
			t.Errorf("%v: %v, hopeful %v", fault, err, d.hopeful())
		}
	}
	d.disbelieve()
	if err := d.watch("a", process.pid); !errors.Is(err, errNoPidfd) || d.hopeful() {
		t.Errorf("numbers of another kernel: %v, hopeful %v", err, d.hopeful())
	}
	fault = nil
	if err := d.watch("a", process.pid); err != nil || !d.hopeful() {
		t.Errorf("numbers that are this kernel's nevertheless: %v, hopeful %v", err, d.hopeful())
	}
	if none := (*deaths)(nil); none.hopeful() {
		t.Error("hopeful without")
	}
}
