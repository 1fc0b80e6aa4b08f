package rig

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// clear removes everything that the engine has made: the engine itself first, then by force what it has left.
func (e *Engine) clear() {
	defer e.lock.Close()
	if e.t.Failed() {
		e.t.Logf("dockerd said, at the end:\n%s", e.Log())
	}
	if e.daemon == nil {
		if err := errors.Join(e.build(), e.launch()); err != nil {
			e.t.Errorf("clearing an engine away: %v", err)
		}
		e.awaitSocket()
	}
	if ids := strings.Fields(e.run("ps", "--all", "--quiet")); len(ids) > 0 {
		e.run(append([]string{"rm", "--force", "--volumes"}, ids...)...)
	}
	e.Stop()
	for _, pid := range e.processes() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		Await(e.t, "the end of what an engine has left", func() error {
			if runs(pid) {
				return fmt.Errorf("process %d runs", pid)
			}
			return nil
		})
	}
	for _, point := range e.mounts() {
		_ = unix.Unmount(point, unix.MNT_DETACH)
	}
	if err := errors.Join(e.raze(), os.RemoveAll(e.dir)); err != nil {
		e.t.Errorf("clearing an engine away: %v", err)
	}
	if index("docker0") != e.shared {
		e.t.Errorf("the shared engine's docker0 is another one than before, or gone")
	}
}

// awaitSocket waits for an engine that has to clear up before it may fail.
func (e *Engine) awaitSocket() {
	Await(e.t, "an engine that was left", func() error {
		select {
		case <-e.ended:
			return nil // It does not come up: force is all there is.
		default:
		}
		_, err := os.Stat(e.socket())
		return err
	})
}

// processes are those that only this engine can have started: its containerd, the shims, and what they run.
func (e *Engine) processes() []int {
	children := map[int][]int{}
	var own []int
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		line, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		if args := strings.Split(string(line), "\x00"); slices.ContainsFunc(args, func(arg string) bool {
			return arg == e.namespace() || strings.HasPrefix(arg, e.dir+"/")
		}) {
			own = append(own, pid)
		}
		if parent, err := parentOf(pid); err == nil {
			children[parent] = append(children[parent], pid)
		}
	}
	for _, pid := range slices.Clone(own) {
		own = append(own, children[pid]...)
	}
	return own
}

func parentOf(pid int) (int, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, after, found := bytes.Cut(stat, []byte(") ")) // a name may have anything in it but this
	if fields := strings.Fields(string(after)); err == nil && found && len(fields) > 1 {
		return strconv.Atoi(fields[1])
	}
	return 0, errors.Join(err, errors.New("no parent"))
}

// runs says whether there is a process that is not only waiting to be reaped.
func runs(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !bytes.Contains(stat, []byte(") Z "))
}

// mounts are what is mounted in the engine's directory, the deepest first.
func (e *Engine) mounts() []string {
	table, _ := os.ReadFile("/proc/self/mountinfo")
	var points []string
	for line := range strings.Lines(string(table)) {
		if fields := strings.Fields(line); len(fields) > 4 && strings.HasPrefix(fields[4], e.dir+"/") {
			points = append(points, fields[4])
		}
	}
	slices.Reverse(points)
	return points
}
