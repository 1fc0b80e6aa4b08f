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
// container's ID in the path; a path without it proves nothing.
func belongs(pid int, id string) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	return err == nil && strings.Contains(string(b), id)
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
