package chaos

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sys/unix"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

const logLost = "eru_agent_log_lines_lost_total"

// talker is an agent that logs much, to a place that a test has made.
type talker struct {
	*rig.Crowd
	t     *testing.T
	n     *rig.Node
	l     *ledger
	a     *rig.Agent
	all   []dockertest.Container
	turns int
}

func newTalker(t *testing.T, row *row, stderr *os.File) *talker {
	t.Helper()
	crowd := rig.NewCrowd(t, dockertest.Config{})
	n := r.CrowdNode(t, crowd, etcdtest.Start(t).Endpoint(), clientv3.Config{})
	k := &talker{Crowd: crowd, t: t, n: n, l: newLedger(row, n)}
	k.a = n.StartAs(rig.FreeAddress(t), func(c *exec.Cmd) { c.Stderr = stderr }, "--log.level", "debug", "--healthcheck.interval", "100ms")
	k.a.AwaitReady()
	k.all = gather(k.l, crowd, 20)
	return k
}

// turn changes what half of the containers answer, and returns once that is known; the lines of it go with it.
func (k *talker) turn() time.Duration {
	k.t.Helper()
	k.turns++
	mode, end := "500", "unhealthy"
	if k.turns%2 == 0 {
		mode, end = "ok", "healthy"
	}
	at := time.Now()
	for _, c := range k.all[:len(k.all)/2] {
		k.l.is(c.ID, end)
		k.Behave(c.Networks["bridge"], mode)
	}
	return k.l.settle(at)
}

// await returns once the agent has lost more lines than so many.
func (k *talker) await(lines float64) {
	k.t.Helper()
	rig.Await(k.t, "lines to be lost", func() error {
		if now := count(k.t, k.a, logLost); now <= lines {
			return fmt.Errorf("%v so far", now)
		}
		return nil
	})
}

// TestLogDiskFull fills the file system of the agent's log, again and again.
func TestLogDiskFull(t *testing.T) {
	t.Parallel()
	row := newRow(t, ofNode, "disk of the agent's log full", "etcd 3.7, fake Docker")
	dir := smallDisk(t)
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	k := newTalker(t, row, log)
	before := baseline(t, k.a)
	admitted := 0
	for range of(2, 5) {
		lost := count(t, k.a, logLost)
		fill(t, filepath.Join(dir, "ballast"))
		row.injected(1)
		k.await(lost)
		k.turn()
		at := time.Now()
		if err := os.Remove(filepath.Join(dir, "ballast")); err != nil {
			t.Fatal(err)
		}
		admitted = k.admission(filepath.Join(dir, "log"), admitted)
		row.rightAfter(time.Since(at), 2*time.Second)
		k.turn()
	}
	k.l.nothingNew()
	row.note("lines lost %v", count(t, k.a, logLost))
	row.flat(k.a, before)
	if said := lostBy(t, filepath.Join(dir, "log")); float64(said) != count(t, k.a, logLost) {
		row.wrongly("the log says that %d lines were lost, the metric %v", said, count(t, k.a, logLost))
	}
}

// smallDisk is a file system of a megabyte.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatalf("these tests need to mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("clearing away: %v", err)
		}
	})
	return dir
}

// fill leaves no room on a disk.
func fill(t *testing.T, ballast string) {
	t.Helper()
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := io.Copy(f, neverEnding{}); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("filling the disk: %v", err)
	}
}

type neverEnding struct{}

func (neverEnding) Read(b []byte) (int, error) { return len(b), nil }

// admissions are the lines of a log that say how many others were lost; each line of it must be whole.
func admissions(t *testing.T, path string) []int {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var list []int
	for line := range strings.Lines(string(text)) {
		var one struct {
			Msg   string
			Lines int
			Since time.Time
		}
		if strings.Contains(line, `"log lines were lost"`) && json.Unmarshal([]byte(line), &one) == nil && !one.Since.IsZero() {
			list = append(list, one.Lines)
		}
	}
	return list
}

func lostBy(t *testing.T, path string) int {
	t.Helper()
	sum := 0
	for _, lines := range admissions(t, path) {
		sum += lines
	}
	return sum
}

// admission returns once the log says more often than so often that lines were lost, and how often.
func (k *talker) admission(path string, than int) int {
	k.t.Helper()
	now := 0
	rig.Await(k.t, "the log to say what it lacks", func() error {
		if now = len(admissions(k.t, path)); now <= than {
			return fmt.Errorf("it says so %d times", now)
		}
		return nil
	})
	return now
}

// TestLogAlwaysFull gives the agent a log that takes nothing from its start on.
func TestLogAlwaysFull(t *testing.T) {
	t.Parallel()
	row := newRow(t, ofNode, "agent's log to /dev/full", "etcd 3.7, fake Docker")
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = full.Close() }()
	k := newTalker(t, row, full)
	row.injected(1)
	row.rightAfter(k.turn(), time.Second)
	k.await(0)
	row.note("lines lost %v", count(t, k.a, logLost))
	k.ends()
}

// ends asks the agent to end, which it does whatever becomes of its log.
func (k *talker) ends() {
	k.t.Helper()
	k.l.nothingNew()
	k.a.Signal(syscall.SIGTERM)
	if code := k.a.Wait(); code != 0 {
		k.t.Errorf("the agent ended with %d", code)
	}
	if e, _ := k.n.Last("status:node/" + k.n.Name); !strings.Contains(string(e.Value), `"stopping"`) {
		k.n.Catch()
		if e, _ := k.n.Last("status:node/" + k.n.Name); !strings.Contains(string(e.Value), `"stopping"`) {
			k.t.Errorf("its last word is %s", e.Value)
		}
	}
	k.l.nothingNew()
}

// TestLogBlocked has the agent write its log to a pipe that nobody reads for long, and to one whose reader then goes away.
func TestLogBlocked(t *testing.T) {
	t.Parallel()
	row := newRow(t, ofNode, "reader of the agent's log stops reading, then goes", "etcd 3.7, fake Docker")
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = reader.Close(), writer.Close() }()
	if _, err := unix.FcntlInt(writer.Fd(), unix.F_SETPIPE_SZ, 4096); err != nil { // Fd also makes it one that blocks
		t.Fatal(err)
	}
	k := newTalker(t, row, writer)
	_ = writer.Close()
	row.injected(1)
	before := baseline(t, k.a)
	for count(t, k.a, logLost) == 0 { // it keeps some
		row.rightAfter(k.turn(), time.Second)
	}
	log := filepath.Join(t.TempDir(), "log")
	read, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		_, _ = io.Copy(read, reader)
	}()
	k.admission(log, 0)
	row.flat(k.a, before)

	_ = reader.SetReadDeadline(time.Now()) // it goes
	<-copied
	_, _ = reader.Close(), read.Close()
	row.injected(1)
	lost := count(t, k.a, logLost)
	k.await(lost)
	row.rightAfter(k.turn(), time.Second)
	row.note("lines lost %v", count(t, k.a, logLost))
	k.ends()
}
