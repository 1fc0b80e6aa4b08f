package watcher

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/docker/docker/api/types/events"
	"golang.org/x/sys/unix"

	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

// only believes some processes to be of any container.
func only(some func(pid int) bool) func(int, string) error {
	return func(pid int, _ string) error {
		if !some(pid) {
			return unix.ESRCH
		}
		return nil
	}
}

func anybody(int, string) error { return nil }

// believed says of the test's own children that they are of any container.
func (f *fixture) believed() *fixture {
	f.w.belongs = only(func(pid int) bool { return pid != os.Getpid() })
	return f
}

func oursWith(name string, c *child) dockertest.Spec {
	spec := ours(name)
	spec.Pid = c.pid
	return spec
}

// The kernel tells of the end before Docker does; Docker adds the exit code.
func TestKernelFirst(t *testing.T) {
	f := newFixture(t, dockertest.Config{}).believed().start()
	process := newChild(t)
	web := f.s.Run(oursWith("web", process))
	f.expect(Running, web.ID)
	process.kill()
	if e := f.expect(Exited, web.ID); e.Exit.Known || !e.Container.Started.Equal(web.StartedAt) {
		t.Errorf("%+v", e)
	}
	f.tells()
	f.s.Die(web.ID, 137)
	f.tells("exited web 137")

	again := newChild(t)
	f.s.NextLife(web.ID, dockertest.Life{Pid: again.pid})
	f.s.Start(web.ID)
	f.expect(Running, web.ID)
	f.s.Kill(web.ID, "TERM")
	f.expect(Stopping, web.ID)
	again.kill()
	f.tells("exited web")
	f.s.Remove(web.ID)
	f.until(Removed, web.ID)
	if n := f.corrections(); n != 0 {
		t.Errorf("%d corrections", n)
	}
}

// A die while the process lives is of an earlier life.
func TestKernelAgainstStaleDie(t *testing.T) {
	f := newFixture(t, dockertest.Config{}).believed().start()
	first, second := newChild(t), newChild(t)
	web := f.s.Run(oursWith("web", first))
	f.expect(Running, web.ID)
	stop := f.s.ReorderEvents(dockertest.Actions("die"), dockertest.Actions("unpause"))
	first.kill()
	f.expect(Exited, web.ID)
	f.s.Die(web.ID, 1)
	f.s.NextLife(web.ID, dockertest.Life{Pid: second.pid})
	f.s.Start(web.ID)
	f.expect(Running, web.ID)
	f.tells() // lets the die go
	stop()
	f.tells()
	f.s.Emit(events.Message{Type: events.ContainerEventType, Action: events.ActionDie, // by a clock that ran ahead
		Actor: events.Actor{ID: web.ID, Attributes: map[string]string{"ERU": "1", "exitCode": "1"}}})
	f.tells()
	second.kill()
	f.expect(Exited, web.ID)
}

// Docker is away: the kernel's word is enough, and no answer that lags brings
// the dead back.
func TestKernelWhileDockerIsAway(t *testing.T) {
	f := newFixture(t, dockertest.Config{DeathLag: -1, StaleInspect: true}).believed().start()
	process, next := newChild(t), newChild(t)
	web := f.s.Run(oursWith("web", process))
	f.expect(Running, web.ID)
	f.s.Down()
	process.kill()
	f.expect(Exited, web.ID)
	f.s.Die(web.ID, 3)
	comes := f.s.Run(oursWith("comes", next))
	f.s.Up()
	f.expect(Running, comes.ID)
	f.tells() // Docker still says that web runs
	f.s.Settle("")
	f.s.CutStreams()
	f.expect(Exited, web.ID) // with its code
	f.tells()
}

// A life that has ended when Docker calls it running was never up.
func TestKernelAgainstInspect(t *testing.T) {
	f := newFixture(t, dockertest.Config{}).believed()
	proves := newChild(t)
	f.s.Run(oursWith("proves", proves)) // that process numbers are this kernel's
	f.start()
	process := newChild(t)
	process.kill()
	web := f.s.Run(oursWith("web", process))
	if e := f.expect(Exited, web.ID); e.Exit.Known || !e.Container.Started.Equal(web.StartedAt) {
		t.Errorf("%+v", e)
	}
	f.s.Die(web.ID, 4)
	f.tells("exited web 4")
	f.s.NextLife(web.ID, dockertest.Life{Pid: newChild(t).pid})
	f.s.Start(web.ID)
	f.expect(Running, web.ID)
}

// A zombie has ended.
func TestKernelZombie(t *testing.T) {
	f := newFixture(t, dockertest.Config{}).believed().start()
	process := newChild(t)
	web := f.s.Run(oursWith("web", process))
	f.expect(Running, web.ID)
	if err := process.Process.Kill(); err != nil { // and nobody waits for it
		t.Fatal(err)
	}
	f.expect(Exited, web.ID)
	f.s.Rename(web.ID, "shop") // has Docker asked, which calls it running
	f.untilToldOf(web.ID, "exited shop")
	f.tells()
}

// Of a container whose process was watched nothing need be asked after a gap.
func TestKernelSparesInspects(t *testing.T) {
	f := newFixture(t, dockertest.Config{}).believed().start()
	web := f.s.Run(oursWith("web", newChild(t)))
	f.expect(Running, web.ID)
	f.s.CutStreams()
	f.expect(Listed, "")
	f.tells()
	if n := f.inspects(web.ID); n != 1 {
		t.Errorf("%d inspects, want 1", n)
	}
}

// Where the kernel has no word it is said once, and Docker's is taken.
func TestNoPidfd(t *testing.T) {
	f := started(t, dockertest.Config{})
	spec := ours("web")
	spec.Pid = 1 << 30 // no process can have it
	web := f.s.Run(spec)
	other := f.s.Run(ours("other")) // a process that is not of the container
	f.gather(map[string]Kind{web.ID: Running, other.ID: Running})
	f.s.Die(web.ID, 1)
	f.expect(Exited, web.ID)
	f.s.Die(other.ID, 1)
	f.expect(Exited, other.ID)
	if n := f.said("no pidfd for a container"); n != 1 {
		t.Errorf("said %d times", n)
	}
}

// deathsOf runs a deaths whose words go to a channel.
func deathsOf(t *testing.T) (*deaths, <-chan string) {
	t.Helper()
	d, err := newDeaths()
	if err != nil {
		t.Fatal(err)
	}
	d.belongs = anybody
	ctx, cancel := context.WithCancel(t.Context())
	words := make(chan string, 1024)
	var done sync.WaitGroup
	done.Go(func() { d.run(ctx, func(id string, _ int) { words <- id }) })
	t.Cleanup(func() {
		cancel()
		done.Wait()
		d.close()
	})
	return d, words
}

func TestDeaths(t *testing.T) {
	d, words := deathsOf(t)
	before := descriptors(t)
	const n = 200
	children := map[string]*child{}
	for i := range n {
		c := newChild(t)
		id := string(rune('a'+i%26)) + string(rune('A'+i/26))
		children[id] = c
		if err := d.watch(id, c.pid); err != nil {
			t.Fatal(err)
		}
		if err := d.watch(id, c.pid); err != nil { // again
			t.Fatal(err)
		}
		if f := d.fate(id, c.pid); f != fateAlive {
			t.Errorf("fate %v of one that lives", f)
		}
	}
	if f := d.fate("aA", 1); f != fateUnknown {
		t.Errorf("fate %v of another process", f)
	}
	for _, c := range children {
		c.kill()
	}
	for range n {
		id := <-words
		if f := d.fate(id, children[id].pid); f != fateEnded {
			t.Errorf("fate %v of one that ended", f)
		}
		delete(children, id)
		d.forget(id)
		if f := d.fate(id, 0); f != fateUnknown {
			t.Errorf("fate %v of one that was forgotten", f)
		}
	}
	if len(children) != 0 {
		t.Errorf("%d deaths untold", len(children))
	}
	if now := descriptors(t); now > before {
		t.Errorf("%d descriptors, had %d", now, before)
	}
}

// A descriptor's number goes from one container to the next; what the kernel
// said of it does not.
func TestDescriptorNumberGivenAnew(t *testing.T) {
	d, _ := deathsOf(t)
	first, second := newChild(t), newChild(t)
	if err := d.watch("first", first.pid); err != nil {
		t.Fatal(err)
	}
	fd := int32(d.byID["first"].fd)
	first.kill()
	d.forget("first")
	if err := d.watch("second", second.pid); err != nil {
		t.Fatal(err)
	}
	if d.byFD[fd] != "second" {
		t.Fatal("the kernel gave another number; this test proves nothing")
	}
	id, pid, ok := d.whose(fd) // what run makes of a word on the first that comes late
	if !ok || id != "second" || d.fate(id, pid) != fateAlive {
		t.Errorf("%q %v, fate %v", id, ok, d.fate(id, pid))
	}

	f := newFixture(t, dockertest.Config{}).believed().start()
	web := f.s.Run(oursWith("web", second))
	f.expect(Running, web.ID)
	f.w.queue.add(web.ID, func(w *word) { w.ended = second.pid }) // the same, told to the keeper
	f.tells()
}

// A process number that is given anew is another process's.
func TestProcessNumberGivenAnew(t *testing.T) {
	d, _ := deathsOf(t)
	c := newChild(t)
	if err := d.watch("a", c.pid); err != nil {
		t.Fatal(err)
	}
	ended := newChild(t)
	ended.kill()
	if err := d.watch("b", ended.pid); !errors.Is(err, errGone) {
		t.Errorf("watching one that ended: %v", err)
	}
	c.kill()
	if err := d.watch("a", c.pid); !errors.Is(err, errGone) { // the old descriptor is not believed for a new life
		t.Errorf("watching the same number again: %v", err)
	}
	d.belongs = only(func(int) bool { return false })
	if err := d.watch("c", newChild(t).pid); !errors.Is(err, errNoPidfd) {
		t.Errorf("watching a process of another: %v", err)
	}
}

func TestBelongs(t *testing.T) {
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	if err := belongs(os.Getpid(), filepath.Base(string(b[:len(b)-1]))); err != nil {
		t.Errorf("a process is not believed to be in its own cgroup %q: %v", b, err)
	}
	for _, pid := range []int{os.Getpid(), 1 << 30} {
		if belongs(pid, "0123456789abcdef") == nil {
			t.Errorf("process %d is believed to be of a container that it is not of", pid)
		}
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
