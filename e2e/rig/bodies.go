package rig

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Bodies are real processes that stand for those of a crowd's containers, each in a cgroup that bears the container's ID as
// Docker's do: without that the agent would not take them for the container's.
type Bodies struct {
	t      testing.TB
	root   string // the cgroup above them
	births chan func()

	mu   sync.Mutex
	byID map[string]*os.Process
}

const bodies = "eru-bodies-" // and the process ID of the run

// NewBodies makes a place for processes; they end with the test, and with this process.
func NewBodies(t testing.TB) *Bodies {
	t.Helper()
	above, err := cgroups()
	if err != nil {
		t.Fatal(err)
	}
	left, _ := filepath.Glob(filepath.Join(above, bodies+"*"))
	for _, dir := range left {
		run, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), bodies), "-")
		if pid, err := strconv.Atoi(run); err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			raze(dir)
		}
	}
	root, err := os.MkdirTemp(above, fmt.Sprintf("%s%d-", bodies, os.Getpid())) //nolint:usetesting // a cgroup
	if err != nil {
		t.Fatalf("making a cgroup: %v", err)
	}
	b := &Bodies{t: t, root: root, births: make(chan func()), byID: map[string]*os.Process{}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // Pdeathsig looks at the thread that started the process.
		defer runtime.UnlockOSThread()
		for birth := range b.births {
			birth()
		}
	}()
	t.Cleanup(func() {
		for id := range b.byID {
			b.End(id)
		}
		close(b.births)
		<-done
		raze(root)
	})
	return b
}

// cgroups is where cgroups can be made: version 2, or any hierarchy of version 1.
func cgroups() (string, error) {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	first := ""
	for line := range strings.Lines(string(table)) {
		before, after, _ := strings.Cut(line, " - ")
		switch fields := strings.Fields(before); {
		case strings.HasPrefix(after, "cgroup2 "):
			return fields[4], nil
		case strings.HasPrefix(after, "cgroup ") && strings.Contains(after, "pids"):
			first = fields[4]
		}
	}
	if first == "" {
		return "", errors.New("this test needs a cgroup hierarchy that it may write to")
	}
	return first, nil
}

// raze removes a cgroup and those in it.
func raze(dir string) {
	inside, _ := filepath.Glob(filepath.Join(dir, "*", "cgroup.procs"))
	for _, file := range inside {
		_ = os.Remove(filepath.Dir(file))
	}
	_ = os.Remove(dir)
}

// Begin starts the process of a container's next life and returns its ID; a former one has to have ended.
func (b *Bodies) Begin(id string) int {
	b.t.Helper()
	dir := filepath.Join(b.root, id)
	program, err := exec.LookPath("sleep")
	if merr := os.Mkdir(dir, 0o755); !errors.Is(merr, os.ErrExist) { //nolint:gosec // as cgroups have it
		err = errors.Join(err, merr)
	}
	if err != nil {
		b.t.Errorf("making a cgroup: %v", err)
		return 0
	}
	born := make(chan error)
	var p *os.Process
	b.births <- func() {
		var err error
		p, err = os.StartProcess(program, []string{"sleep", "86400"}, &os.ProcAttr{Sys: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}})
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(p.Pid)), 0o600)
		}
		born <- err
	}
	if err := <-born; err != nil {
		b.t.Errorf("starting a container's process: %v", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.byID[id] = p
	return p.Pid
}

// End kills the process of a container, and returns when it has ended.
func (b *Bodies) End(id string) {
	b.mu.Lock()
	p := b.byID[id]
	delete(b.byID, id)
	b.mu.Unlock()
	if p != nil {
		_ = p.Kill()
		_, _ = p.Wait()
	}
}

// Bury removes what is left of a container whose process has ended.
func (b *Bodies) Bury(id string) { _ = os.Remove(filepath.Join(b.root, id)) }
