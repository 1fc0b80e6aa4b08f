package chaos

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sys/unix"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

// throng is a crowd that keeps an agent busy.
type throng struct {
	*rig.Crowd
	n      *rig.Node
	l      *ledger
	a      *rig.Agent
	all    []dockertest.Container
	before load
}

// newThrong starts one, 200 probes a second.
func newThrong(t *testing.T, row *row, flags ...string) *throng {
	t.Helper()
	etcd := etcdtest.Start(t)
	g := &throng{Crowd: rig.NewCrowd(t, dockertest.Config{})}
	g.n = r.CrowdNode(t, g.Crowd, etcd.Endpoint(), clientv3.Config{})
	g.n.Flags = append([]string{"--healthcheck.interval", of(250*time.Millisecond, time.Second).String(), "--healthcheck.timeout", "1s"}, flags...)
	g.a = g.n.Start().AwaitReady()
	g.l = newLedger(row, g.n)
	g.all = gather(g.l, g.Crowd, of(50, 200))
	verified(t, g.a, len(g.all))
	g.before = baseline(t, g.a)
	return g
}

// harm makes some containers fail, hang and die, of those from i on.
func (g *throng) harm(i int) {
	for j, mode := range []string{"500", "silent", "reset"} {
		c := g.all[i+j]
		g.l.is(c.ID, "unhealthy")
		g.Behave(c.Networks["bridge"], mode)
	}
	g.l.dies(g.all[i+3].ID)
	g.Die(g.all[i+3].ID, 1)
}

// TestAgentStarved lets the agent have a small share of one CPU.
func TestAgentStarved(t *testing.T) {
	for _, one := range []struct {
		fault string
		share float64
		flags []string
		lasts time.Duration
		least time.Duration // for which it is held back: 3 % may be almost enough
	}{
		{"agent with 3 % of a CPU", .03, nil, of(5*time.Second, 30*time.Second), 0},
		{"agent with 0.1 % of a CPU, for longer than its session", .001, []string{"--etcd.session_ttl", "2s"}, of(5*time.Second, 15*time.Second), of(3*time.Second, 10*time.Second)},
	} {
		t.Run(one.fault, func(t *testing.T) {
			row := newRow(t, ofAgent, one.fault+": "+short(one.lasts), "etcd 3.7, fake Docker")
			group := newCgroup(t)
			g := newThrong(t, row, one.flags...)
			group.take(g.a.Pid())
			group.limit(one.share)
			row.injected(1)
			g.harm(0)
			<-time.After(one.lasts) // the fault itself
			g.harm(4)               // which it has no time to see
			at := time.Now()
			group.free()
			row.rightAfter(g.l.settle(at), 2*time.Second)
			recorded(t, g.n)
			g.a.AwaitReady()
			g.l.nothingNew()
			held := group.throttled()
			row.note("%d containers, dropped verdicts %v, sessions lost %v, held back for %s", len(g.all), dropped(t, g.a), count(t, g.a, "eru_agent_etcd_session_lost_total"), short(held))
			if held <= one.least { // an agent that runs so little may have no probe under way, and none to drop
				t.Errorf("it was held back for %v, want more than %v: no fault", held, one.least)
			}
			row.flat(g.a, g.before)
		})
	}
}

// TestAgentCrowdedOut lets others want every CPU, more urgently than the agent.
func TestAgentCrowdedOut(t *testing.T) {
	lasts := of(3*time.Second, 10*time.Second)
	row := newRow(t, ofAgent, "others take every CPU for "+short(lasts), "etcd 3.7, fake Docker")
	g := newThrong(t, row)
	end := burn(t, g.a.Pid())
	row.injected(1)
	g.harm(0)
	<-time.After(lasts) // the fault itself
	at := time.Now()
	end()
	row.rightAfter(g.l.settle(at), 2*time.Second)
	g.l.nothingNew()
	row.note("%d containers, dropped verdicts %v", len(g.all), dropped(t, g.a))
	row.flat(g.a, g.before)
}

// burn makes the agent the least of all processes on the CPUs, and starts some more on each.
func burn(t *testing.T, agent int) func() {
	t.Helper()
	urgency(t, agent, 19)
	var burners []*exec.Cmd
	for cpu := range runtime.NumCPU() {
		for range 4 {
			c := exec.Command("sh", "-c", "while :; do :; done")
			c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
			runtime.LockOSThread() // Pdeathsig looks at the thread that started the process.
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			burners = append(burners, c)
			var only unix.CPUSet
			only.Set(cpu)
			_ = unix.SchedSetaffinity(c.Process.Pid, &only) // it burns anywhere
		}
	}
	end := func() {
		for _, c := range burners {
			_ = c.Process.Kill()
			_ = c.Wait()
		}
		burners = nil
	}
	t.Cleanup(end)
	return func() {
		end()
		urgency(t, agent, 0)
	}
}

// urgency sets how nice each thread of a process is; those that it starts later are as nice as the one that starts them.
func urgency(t *testing.T, pid, nice int) {
	t.Helper()
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		tid, _ := strconv.Atoi(thread.Name())
		if err := unix.Setpriority(unix.PRIO_PROCESS, tid, nice); err != nil {
			t.Fatal(err)
		}
	}
}
