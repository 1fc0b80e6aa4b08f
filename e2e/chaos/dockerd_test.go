package chaos

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// returned is by when all must be right after Docker has answered a listing again.
const returned = 2 * time.Second

// TestDockerRestarted ends Docker, kills containers while it is away, and starts it again.
func TestDockerRestarted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fault      string
		kill, live bool
	}{
		{"dockerd SIGTERM and start", false, false},
		{"dockerd SIGKILL and start", true, false},
		{"dockerd SIGTERM and start, live-restore", false, true},
		{"dockerd SIGKILL and start, live-restore", true, true},
	} {
		t.Run(c.fault, func(t *testing.T) {
			t.Parallel()
			d := newDaemon(t, c.fault, c.kill, c.live)
			a := d.n.Start().AwaitReady()
			d.crews(of(1, 8))
			before := baseline(t, a)
			for range of(1, 3) {
				d.leave()
				d.deaths(true)
				<-time.After(of(500*time.Millisecond, 5*time.Second)) // the fault itself
				d.comeBack()
				d.revive()
			}
			d.row.flat(a, before)
			d.noteSeen()
		})
	}
}

// TestAgentRestartedWithoutDocker has an agent start while Docker is away.
func TestAgentRestartedWithoutDocker(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fault string
		live  bool
	}{
		{"agent SIGKILL and start while dockerd is away", false},
		{"agent SIGKILL and start while dockerd is away, live-restore", true},
	} {
		t.Run(c.fault, func(t *testing.T) {
			t.Parallel()
			d := newDaemon(t, c.fault, false, c.live)
			a := d.n.Start().AwaitReady()
			d.crews(of(1, 8))
			for range of(1, 2) {
				d.leave()
				a.Kill()
				d.deaths(false)
				a = d.n.Start()
				a.AwaitLog("Docker's events do not flow")
				d.l.judge()
				d.comeBack()
				d.revive()
			}
			a.AwaitReady()
		})
	}
}

// daemon is a Docker of the test's own and its containers: some that Docker starts again when they end and some that it
// does not, some that stay and some that die while Docker is away.
type daemon struct {
	t   *testing.T
	row *row
	e   *rig.Engine
	n   *rig.Node
	l   *ledger

	kill bool // Docker is ended so that it cannot end its containers
	live bool // it would not

	stay, stayAlways, die, dieAlways []*rig.Container

	pids   map[*rig.Container]int
	began  map[*rig.Container]string    // as inspected before Docker left
	serves map[*rig.Container]time.Time // when those that Docker started again did
	writes int                          // about those that stay, before Docker left
	seen   []time.Duration              // how long after its end a death stood in etcd, without Docker
}

func newDaemon(t *testing.T, fault string, kill, live bool) *daemon {
	t.Helper()
	d := &daemon{t: t, row: newRow(t, ofDocker, fault, "etcd 3.7, Docker of its own"), kill: kill, live: live}
	var flags []string
	if live {
		flags = append(flags, "--live-restore")
	}
	d.e = r.Engine(t, flags...)
	d.n = r.On(d.e.Address()).Node(t, etcdtest.Start(t))
	d.l = newLedger(d.row, d.n)
	return d
}

func (d *daemon) crews(each int) {
	d.stay, d.die = crew(d.l, d.n, each), crew(d.l, d.n, each)
	d.stayAlways = crew(d.l, d.n, each, "--restart=always")
	d.dieAlways = crew(d.l, d.n, each, "--restart=always")
}

// survive says whether containers live on while Docker is away.
func (d *daemon) survive() bool { return d.live || d.kill }

// leave ends Docker.
func (d *daemon) leave() {
	d.t.Helper()
	d.pids, d.began = d.pidsOf(d.all()), map[*rig.Container]string{}
	d.serves = map[*rig.Container]time.Time{}
	for i, began := range d.inspect("{{.State.Running}}/{{.State.StartedAt}}", d.all()) {
		d.began[d.all()[i]] = began
	}
	d.n.Catch()
	d.writes = written(slices.Concat(d.stay, d.stayAlways))
	d.row.injected(1)
	if d.kill {
		d.e.Kill()
		return
	}
	if !d.survive() {
		for _, c := range d.all() {
			d.l.dies(c.ID)
		}
	}
	d.e.Stop()
	d.l.settle(time.Now())
}

func (d *daemon) pidsOf(list []*rig.Container) map[*rig.Container]int {
	d.t.Helper()
	pids := map[*rig.Container]int{}
	for i, text := range d.inspect("{{.State.Pid}}", list) {
		pid, err := strconv.Atoi(text)
		if err != nil || pid <= 0 {
			d.t.Fatalf("the process of %s is %q", list[i].Name, text)
		}
		pids[list[i]] = pid
	}
	return pids
}

func (d *daemon) all() []*rig.Container {
	return slices.Concat(d.stay, d.stayAlways, d.die, d.dieAlways)
}

// inspect asks Docker about each.
func (d *daemon) inspect(format string, list []*rig.Container) []string {
	d.t.Helper()
	if len(list) == 0 {
		return nil
	}
	args := []string{"inspect", "--format", format}
	for _, c := range list {
		args = append(args, c.ID)
	}
	return strings.Fields(d.n.Command(d.t, args...))
}

// deaths kills containers while Docker is away, which an agent that runs sees at once.
func (d *daemon) deaths(seen bool) {
	d.t.Helper()
	if !d.survive() {
		return
	}
	at := time.Now()
	for _, c := range slices.Concat(d.die, d.dieAlways) {
		d.l.dies(c.ID)
		if err := syscall.Kill(d.pids[c], syscall.SIGKILL); err != nil {
			d.t.Fatal(err)
		}
	}
	if seen {
		d.seen = append(d.seen, d.l.settle(at))
	}
}

// comeBack starts Docker again, and returns when all is right.
func (d *daemon) comeBack() {
	d.t.Helper()
	again := slices.Clone(d.dieAlways)
	if !d.live {
		for _, c := range d.stay {
			d.l.dies(c.ID)
		}
		again = append(again, d.stayAlways...)
	}
	for _, c := range again {
		d.l.restarts(c.ID)
	}
	at := d.e.Start()
	d.awaitLives(again)
	d.l.settle(at)
	d.row.rightAfter(d.took(at), returned)
	d.l.nothingNew()
	if now := written(slices.Concat(d.stay, d.stayAlways)); d.live && now != d.writes {
		d.row.wrongly("%d writes about containers to which nothing happened", now-d.writes)
	}
}

// awaitLives returns once etcd shows the lives that Docker has begun since. Docker 20.10 now and then fails to ("id already
// in use"); such a container is removed.
func (d *daemon) awaitLives(list []*rig.Container) {
	d.t.Helper()
	late := time.After(10 * time.Second)
	var failed []*rig.Container
	for waiting := true; waiting; {
		failed = nil
		for i, now := range d.inspect("{{.State.Running}}/{{.State.StartedAt}}", list) {
			if now == d.began[list[i]] || strings.HasPrefix(now, "false") {
				failed = append(failed, list[i])
			}
		}
		waiting = len(failed) > 0
		select {
		case <-late:
			waiting = false
		case <-time.After(20 * time.Millisecond):
		}
	}
	d.drop(failed)
	list = slices.DeleteFunc(list, func(c *rig.Container) bool { return slices.Contains(failed, c) })
	for i, now := range d.inspect("{{.State.StartedAt}}", list) {
		began, err := time.Parse(time.RFC3339Nano, now)
		if err != nil {
			d.t.Fatal(err)
		}
		d.serves[list[i]] = d.reach(list[i])
		list[i].AwaitStatus("the life that Docker has begun", func(s rig.Status) bool { return s.Healthy && s.Started.Equal(began) })
	}
}

// reach returns when the container has answered the test itself: the network of a container that Docker 20.10 starts while it
// starts itself may come long after.
func (d *daemon) reach(c *rig.Container) time.Time {
	d.t.Helper()
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	url := "http://" + c.Address("") + "/"
	rig.Await(d.t, c.Name+" to answer", func() error {
		resp, err := client.Get(url)
		if err == nil {
			err = resp.Body.Close()
		}
		return err
	})
	return time.Now()
}

// drop removes containers that Docker failed to start again.
func (d *daemon) drop(failed []*rig.Container) {
	d.t.Helper()
	for _, c := range failed {
		d.row.note("Docker failed to start a container again")
		d.l.goes(c.ID)
		c.Docker("rm", "--force")
		for _, list := range []*[]*rig.Container{&d.stayAlways, &d.dieAlways} {
			*list = slices.DeleteFunc(*list, func(one *rig.Container) bool { return one == c })
		}
	}
}

// took is how long after at, or after a new life has begun to serve, the last status was right.
func (d *daemon) took(at time.Time) time.Duration {
	var most time.Duration
	for _, c := range d.all() {
		events := c.Events()
		last := events[len(events)-1]
		since := at
		if d.serves[c].After(at) {
			since = d.serves[c]
		}
		most = max(most, last.At.Sub(since))
	}
	return most
}

// revive starts what Docker does not start by itself.
func (d *daemon) revive() {
	d.t.Helper()
	dead := d.die
	if !d.live {
		dead = slices.Concat(d.die, d.stay)
	}
	for _, c := range dead {
		d.l.is(c.ID, "healthy", "starting", "stopped")
		c.Docker("start")
	}
	d.l.settle(time.Now())
}

func (d *daemon) noteSeen() {
	if len(d.seen) > 0 {
		d.row.note("deaths without Docker in etcd after %s", short(slices.Max(d.seen)))
	}
}
