package watcher

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// open returns a pidfd of a process that lives, else ESRCH, also of a zombie.
func open(pid int) (int, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err == nil && ended(fd) {
		_ = unix.Close(fd)
		err = unix.ESRCH
	}
	return fd, err
}

// belongs guards against a number that is another process's: it was given anew
// between Docker's answer and now, or Docker counts in another PID namespace
// or on another machine. Every cgroup manager that Docker uses has the
// container's ID in the path; a path without it proves nothing. The error says
// why it is not known to be the container's: ESRCH for a number of another.
func belongs(pid int, id string) error {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err == nil && !strings.Contains(string(b), id) {
		err = unix.ESRCH
	}
	if err != nil {
		return fmt.Errorf("process %d is not known to be of container %.12s: %w", pid, id, err)
	}
	return nil
}

// Namespace opens the network namespace of the container's process. The pidfd is
// opened before it and looked at after it, so that a number which has become
// another process's meanwhile leads nowhere. The error is fs.ErrPermission where
// the agent lacks a capability: CAP_SYS_PTRACE.
func (c Container) Namespace() (*os.File, error) { return c.namespace(belongs) }

func (c Container) namespace(belongs func(pid int, id string) error) (*os.File, error) {
	fd, err := open(c.Pid)
	if err != nil {
		return nil, fmt.Errorf("opening process %d of container %.12s: %w", c.Pid, c.ID, err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := belongs(c.Pid, c.ID); err != nil {
		return nil, err
	}
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", c.Pid))
	if err != nil {
		return nil, fmt.Errorf("opening the network namespace of container %.12s: %w", c.ID, err)
	}
	if ended(fd) {
		_ = ns.Close()
		return nil, fmt.Errorf("opening the network namespace of container %.12s: %w", c.ID, unix.ESRCH)
	}
	return ns, nil
}

// ended says whether the process of a pidfd is no more.
func ended(fd int) bool {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		if !errors.Is(err, unix.EINTR) {
			return n == 1
		}
	}
}
