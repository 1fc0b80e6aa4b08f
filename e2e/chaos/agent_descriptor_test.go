package chaos

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sys/unix"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

// plenty is as many as the agent may have by its hard limit.
const plenty = math.MaxUint64

// descriptors limits a running agent to so many; what it has open stays open.
func descriptors(t *testing.T, a *rig.Agent, most uint64) {
	t.Helper()
	var was unix.Rlimit
	err := unix.Prlimit(a.Pid(), unix.RLIMIT_NOFILE, nil, &was)
	if err == nil {
		err = unix.Prlimit(a.Pid(), unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: min(most, was.Max), Max: was.Max}, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// open is how many descriptors the agent has at least: those of probes come and go.
func open(t *testing.T, a *rig.Agent) uint64 {
	t.Helper()
	least := uint64(plenty)
	for range 10 {
		list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", a.Pid()))
		if err != nil {
			t.Fatal(err)
		}
		least = min(least, uint64(len(list)))
		<-time.After(10 * time.Millisecond)
	}
	return least
}

// TestDescriptors takes all descriptors from the agent, while containers fail, die and come, and Docker's events break off.
func TestDescriptors(t *testing.T) {
	t.Parallel()
	row := newRow(t, ofAgent, "agent without free descriptors", "etcd 3.7, fake Docker")
	crowd := rig.NewCrowd(t, dockertest.Config{})
	n := r.CrowdNode(t, crowd, etcdtest.Start(t).Endpoint(), clientv3.Config{})
	a := n.Start().AwaitReady()
	l := newLedger(row, n)
	all := gather(l, crowd, 30)
	before := baseline(t, a)
	for i := range of(2, 10) {
		descriptors(t, a, open(t, a)-5)
		row.injected(1)
		failed, died := all[2*i], all[2*i+1]
		l.is(failed.ID, "unhealthy")
		crowd.Behave(failed.Networks["bridge"], "500")
		l.dies(died.ID)
		crowd.Die(died.ID, 1)
		l.begins(crowd.Join("late").ID)
		if i%2 == 1 {
			crowd.CutStreams()
		}
		<-time.After(of(2*time.Second, 5*time.Second)) // the fault itself
		at := time.Now()
		descriptors(t, a, plenty)
		row.rightAfter(l.settle(at), 2*time.Second)
	}
	a.AwaitLog("too many open files")
	a.AwaitReady()
	l.nothingNew()
	row.note("dropped verdicts %v", dropped(t, a))
	if count(t, a, `eru_agent_verdicts_dropped_total{why="own_fault"}`) == 0 {
		t.Error("no verdict was dropped for want of descriptors")
	}
	row.flat(a, before)
}

// TestDescriptorsHeld lets containers hang, so that their probes take all descriptors that the agent may have.
func TestDescriptorsHeld(t *testing.T) {
	t.Parallel()
	row := newRow(t, ofAgent, "probes that hang take every descriptor", "etcd 3.7, fake Docker")
	crowd := rig.NewCrowd(t, dockertest.Config{})
	n := r.CrowdNode(t, crowd, etcdtest.Start(t).Endpoint(), clientv3.Config{})
	n.Flags = []string{"--healthcheck.timeout", "1s"}
	a := n.Start().AwaitReady()
	l := newLedger(row, n)
	all := gather(l, crowd, of(60, 200))
	before := baseline(t, a)
	descriptors(t, a, open(t, a)+10)
	row.injected(1)
	for _, c := range all[:len(all)-20] {
		// They hang in truth, and the agent may know it of some.
		l.is(c.ID, "unhealthy", "healthy")
		crowd.Behave(c.Networks["bridge"], "silent")
	}
	<-time.After(of(5*time.Second, 20*time.Second)) // the fault itself
	at := time.Now()
	descriptors(t, a, plenty)
	row.rightAfter(l.settle(at), 3*time.Second)
	a.AwaitLog("too many open files")
	a.AwaitReady()
	l.nothingNew()
	row.note("dropped verdicts %v", dropped(t, a))
	for _, c := range all[:len(all)-20] {
		l.begins(c.ID)
		crowd.Behave(c.Networks["bridge"], "ok")
	}
	l.settle(time.Now())
	row.flat(a, before)
}

// TestDescriptorsAtStart starts agents that may have few descriptors. Those that cannot live say why, as do those that can.
func TestDescriptorsAtStart(t *testing.T) {
	t.Parallel()
	row := newRow(t, ofAgent, "agent started with few descriptors", "etcd 3.7, fake Docker")
	crowd := rig.NewCrowd(t, dockertest.Config{})
	n := r.CrowdNode(t, crowd, etcdtest.Start(t).Endpoint(), clientv3.Config{})
	a := n.Start().AwaitReady()
	l := newLedger(row, n)
	gather(l, crowd, 5)
	enough := open(t, a)
	a.Kill()
	ended := 0
	for most := uint64(8); most < enough; most += uint64(of(3, 1)) { // Go itself does not start with less, and says so
		row.injected(1)
		a := n.StartAs("", rig.FewDescriptors(int(most)))
		if !comesUp(t, a) {
			ended++
			continue
		}
		if strings.Contains(a.Err.String(), "the kernel's word on a process's end is not to be had") {
			t.Errorf("limited to %d at its start, the agent stays deaf to the kernel", most)
		}
		a.Kill()
	}
	row.note("%d did not start and said why", ended)
	l.nothingNew()
}

// comesUp returns false if the agent has ended, and true once it is ready or lacks descriptors. It must say what it lacks.
func comesUp(t *testing.T, a *rig.Agent) bool {
	t.Helper()
	lives := true
	rig.Await(t, "the agent to come up, or to say what it lacks", func() error {
		says := strings.Contains(a.Err.String(), "too many open files")
		select {
		case <-a.Exited():
			if lives = false; !says {
				t.Errorf("it ended and said %s", a.Err.String())
			}
			return nil
		default:
		}
		if !says && !strings.Contains(a.Err.String(), `"msg":"ready"`) {
			return errors.New(a.Err.String())
		}
		return nil
	})
	return lives
}
