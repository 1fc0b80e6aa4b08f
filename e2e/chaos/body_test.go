package chaos

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/projecteru2/eru-agent/e2e/rig"
)

// body is a real process that stands for the first one of a fake container, so that the kernel tells the agent of its end.
// It is in a cgroup with the container's ID in its path, as Docker's are: the agent takes no other word for it.
type body struct {
	cmd   *exec.Cmd
	stdin io.Closer
}

// bodiesName begins the directories of this package, followed by the process ID of their test.
const bodiesName = "eru-chaos-bodies-"

// bodiesRoot is where cgroups can be made, "" if nowhere. What tests that were killed have left there is removed.
var bodiesRoot = sync.OnceValue(func() string {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(mounts)) {
		before, after, _ := strings.Cut(line, " - ")
		fields := strings.Fields(before)
		if len(fields) < 5 || !strings.HasPrefix(after, "cgroup") {
			continue
		}
		if strings.HasPrefix(after, "cgroup ") && !strings.Contains(after, "name=systemd") && !strings.HasSuffix(fields[4], "/pids") {
			continue // a controller that would do something to the process
		}
		sweepBodies(fields[4])
		dir := filepath.Join(fields[4], bodiesName+strconv.Itoa(os.Getpid()))
		if os.Mkdir(dir, 0o755) == nil { //nolint:gosec // as the others there
			return dir
		}
	}
	return ""
})

func sweepBodies(mount string) {
	left, _ := filepath.Glob(filepath.Join(mount, bodiesName+"*"))
	for _, dir := range left {
		pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(dir), bodiesName))
		if err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			removeBodies(dir)
		}
	}
}

func removeBodies(dir string) {
	inside, _ := filepath.Glob(filepath.Join(dir, "*"))
	for _, one := range inside {
		_ = os.Remove(one)
	}
	_ = os.Remove(dir)
}

// newBody starts a process for container id that lives until it is killed, or this test's process ends.
func newBody(t testing.TB, id string) (*body, error) {
	root := bodiesRoot()
	if root == "" {
		return nil, errors.New("no cgroup can be made here")
	}
	b := &body{cmd: exec.Command("cat")} // which ends when its input does
	in, err := b.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	b.stdin = in
	dir := filepath.Join(root, id)
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // as the others there
		return nil, fmt.Errorf("making a cgroup: %w", err)
	}
	if err := b.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting a process for a container: %w", err)
	}
	t.Cleanup(func() {
		b.kill()
		rig.Await(t, "an empty cgroup to go", func() error {
			if err := os.Remove(dir); !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			return nil
		})
	})
	return b, os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(b.pid())), 0o600)
}

func (b *body) pid() int { return b.cmd.Process.Pid }

// kill ends the process and waits for its end; twice is no error.
func (b *body) kill() {
	if b.cmd.ProcessState == nil {
		_ = b.cmd.Process.Kill()
		_ = b.cmd.Wait()
		_ = b.stdin.Close()
	}
}
