package chaos

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// cgroup is one of the CPU controller, version 1 or 2, which ends with the test.
type cgroup struct {
	t       *testing.T
	root    string // where processes go back to
	dir     string
	unified bool // version 2
}

const cgroupPrefix = "eru-chaos-"

// newCgroup makes one without a limit.
func newCgroup(t *testing.T) *cgroup {
	t.Helper()
	g := &cgroup{t: t, root: "/sys/fs/cgroup/cpu"}
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		g.root, g.unified = "/sys/fs/cgroup", true
		g.write(filepath.Join(g.root, "cgroup.subtree_control"), "+cpu")
	}
	sweepCgroups(g.root)
	g.dir = filepath.Join(g.root, fmt.Sprintf("%s%d-%d", cgroupPrefix, os.Getpid(), time.Now().UnixNano()))
	if err := os.Mkdir(g.dir, 0o750); err != nil {
		t.Fatalf("these tests need a CPU controller of cgroups that they may write to: %v", err)
	}
	t.Cleanup(g.remove)
	return g
}

// sweepCgroups removes what runs that were killed have left; their processes have died with them.
func sweepCgroups(root string) {
	old, _ := filepath.Glob(filepath.Join(root, cgroupPrefix+"*"))
	for _, dir := range old {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), cgroupPrefix), "-")
		if n, err := strconv.Atoi(pid); err == nil && errors.Is(syscall.Kill(n, 0), syscall.ESRCH) {
			_ = os.Remove(dir)
		}
	}
}

func (g *cgroup) write(path, text string) {
	g.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		g.t.Fatal(err)
	}
}

// limit lets what is inside have a share of one CPU, in steps of a hundredth of a second and more.
func (g *cgroup) limit(share float64) {
	g.t.Helper()
	const period = 1_000_000 // µs, the longest
	const shortest = 100_000
	length := float64(shortest)
	if share*shortest < 1000 { // less than the kernel takes
		length = period
	}
	if g.unified {
		g.write(filepath.Join(g.dir, "cpu.max"), fmt.Sprintf("%d %d", int(share*length), int(length)))
		return
	}
	g.write(filepath.Join(g.dir, "cpu.cfs_period_us"), strconv.Itoa(int(length)))
	g.write(filepath.Join(g.dir, "cpu.cfs_quota_us"), strconv.Itoa(int(share*length)))
}

// free lifts the limit.
func (g *cgroup) free() {
	g.t.Helper()
	if g.unified {
		g.write(filepath.Join(g.dir, "cpu.max"), "max")
		return
	}
	g.write(filepath.Join(g.dir, "cpu.cfs_quota_us"), "-1")
}

// take puts a process inside.
func (g *cgroup) take(pid int) {
	g.t.Helper()
	g.write(filepath.Join(g.dir, "cgroup.procs"), strconv.Itoa(pid))
}

// throttled is for how long what is inside was held back, summed over the CPUs on which it wanted to run.
func (g *cgroup) throttled() time.Duration {
	g.t.Helper()
	text, err := os.ReadFile(filepath.Join(g.dir, "cpu.stat"))
	if err != nil {
		g.t.Fatal(err)
	}
	name, unit := "throttled_time ", time.Nanosecond
	if g.unified {
		name, unit = "throttled_usec ", time.Microsecond
	}
	for line := range strings.Lines(string(text)) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), name); ok {
			units, err := strconv.Atoi(n)
			if err != nil {
				g.t.Fatal(err)
			}
			return time.Duration(units) * unit
		}
	}
	g.t.Fatalf("cpu.stat has no %s:\n%s", name, text)
	return 0
}

// remove lets the processes go, and the cgroup with them.
func (g *cgroup) remove() {
	g.free()
	pids, _ := os.ReadFile(filepath.Join(g.dir, "cgroup.procs"))
	for pid := range strings.Lines(string(pids)) {
		_ = os.WriteFile(filepath.Join(g.root, "cgroup.procs"), []byte(strings.TrimSpace(pid)), 0o600) // it may have ended
	}
	if err := os.Remove(g.dir); err != nil {
		g.t.Errorf("clearing away: %v", err)
	}
}
