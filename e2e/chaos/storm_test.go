package chaos

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

// TestStartDieStorm has containers live short lives by the thousand, each with a process of its own: restarted with the same
// ID at the same or another address, or removed and made anew.
func TestStartDieStorm(t *testing.T) {
	h := newHerd(t, newRow(t, ofDocker, "start and die storm", "etcd 3.7, fake Docker"), dockertest.Config{DeathLag: lag})
	h.n.Flags = []string{"--healthcheck.interval", "2s"}
	a := h.n.Start().AwaitReady()
	ids := h.joinAll(of(100, 500))
	ids = h.storm(ids, len(ids), 5*time.Second) // every kind of change has its series now
	h.settle(time.Now())
	before, was := baseline(t, a), resident(t, a)
	lives, length := of(300, 5000), of(5*time.Second, time.Minute)
	ids = h.storm(ids, lives, length)
	at := time.Now()
	h.row.rightAfter(h.settle(at), returned)
	h.row.injected(lives)
	h.row.note("%d lives of %d in %s, memory %d to %d MB", lives, len(ids), short(length), was>>10, resident(t, a)>>10)
	h.row.flat(a, before)
	for _, id := range ids {
		h.remove(id)
	}
	h.settle(time.Now())
	h.row.flat(a, before)
}

// storm ends so many lives, evenly within a time, and begins as many; it returns the containers that are there then.
func (h *herd) storm(ids []string, lives int, length time.Duration) []string {
	tick := time.NewTicker(length / time.Duration(lives))
	defer tick.Stop()
	slots := make(chan struct{}, 16)
	var all sync.WaitGroup
	for i := range lives {
		<-tick.C // the fault itself
		at, id := i%len(ids), ids[i%len(ids)]
		change := rand.IntN(3)
		if change == 2 {
			ids[at] = newID()
		}
		slots <- struct{}{}
		next := ids[at]
		all.Go(func() {
			defer func() { <-slots }()
			switch change {
			case 0, 1:
				h.restart(id, change == 1)
			case 2:
				h.remove(id)
				h.joinAs(next)
			}
		})
	}
	all.Wait()
	return ids
}

// resident is how much memory the agent holds, in KB.
func resident(t *testing.T, a *rig.Agent) int {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", a.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	kb := 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "VmRSS:"); ok {
			_, _ = fmt.Sscan(value, &kb)
		}
	}
	return kb
}

// TestCrashLoop has containers that end at once and are started again by Docker, beside others that are well.
func TestCrashLoop(t *testing.T) {
	t.Parallel()
	row := newRow(t, ofDocker, "crash loop under --restart=always", "etcd 3.7, Docker")
	n := r.Node(t, etcdtest.Start(t))
	a := n.Start().AwaitReady()
	l := newLedger(row, n)
	well := crew(l, n, 3)
	before := baseline(t, a)
	loops := make([]*rig.Container, 5)
	writes, began := written(well), len(n.Events("status/"))
	for i := range loops {
		loops[i] = n.Create("loop", rig.HTTP, "--restart=always", "--env=MODE=exit=1")
		l.is(loops[i].ID, "in a loop", "stopped", "starting") // in no state for long, and never healthy
		loops[i].Docker("start")
	}
	<-time.After(of(4*time.Second, 30*time.Second)) // the fault itself
	n.Catch()
	wrote, lives := len(n.Events("status/"))-began, 0
	for _, c := range loops {
		restarts, err := strconv.Atoi(c.Docker("inspect", "--format", "{{.RestartCount}}"))
		if err != nil {
			t.Fatal(err)
		}
		lives += 1 + restarts
		l.goes(c.ID)
		c.Docker("rm", "--force")
	}
	row.injected(lives)
	row.rightAfter(l.settle(time.Now()), returned)
	if now := written(well); now != writes {
		row.wrongly("%d writes about the neighbours", now-writes)
	}
	row.note("%d statuses written about %d lives", wrote, lives)
	row.flat(a, before)
}

// written is how often anything was written about containers.
func written(list []*rig.Container) int {
	n := 0
	for _, c := range list {
		n += len(c.Events())
	}
	return n
}
