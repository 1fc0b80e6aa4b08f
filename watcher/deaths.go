package watcher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// deaths hears from the kernel when a process ends. A pidfd becomes readable
// some 1.5 ms after the exit; Docker's die comes 36-172 ms after it (FACTS).
// All pidfds stand in one epoll instance, which itself waits in Go's poller, so
// no thread is blocked.
type deaths struct {
	epoll *os.File
	raw   interface {
		Read(func(fd uintptr) bool) error
		Control(func(fd uintptr)) error
	}

	open    func(pid int) (int, error)
	belongs func(pid int, id string) error

	mu        sync.Mutex
	byID      map[string]watched
	byFD      map[int32]string
	proven    bool // Docker's process numbers are this kernel's
	disproven bool // they seem not to be
	refused   bool // the kernel has no pidfds, or none for us
}

type watched struct{ pid, fd int }

func newDeaths() (*deaths, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("creating an epoll instance: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("preparing an epoll instance: %w", err)
	}
	f := os.NewFile(uintptr(fd), "pidfds")
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("preparing an epoll instance: %w", err)
	}
	return &deaths{epoll: f, raw: raw, open: open, belongs: belongs, byID: map[string]watched{}, byFD: map[int32]string{}}, nil
}

// What watch says where it does not wait.
var (
	errNoPidfd = errors.New("no pidfd") // the kernel gives no word on this process
	errGone    = errors.New("the process is gone")
	errUnseen  = errors.New("the process is gone, or Docker counts in another PID namespace")
)

// watch begins to wait for the end of pid, the first process of container id,
// in place of an earlier one.
func (d *deaths) watch(id string, pid int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if was, ok := d.byID[id]; ok {
		if was.pid == pid && !ended(was.fd) {
			return nil
		}
		d.dropLocked(id, was)
	}
	fd, err := d.open(pid)
	if err != nil {
		return d.refusalLocked(pid, err)
	}
	if err := d.belongs(pid, id); err != nil {
		_ = unix.Close(fd)
		return fmt.Errorf("%w: %w", errNoPidfd, err)
	}
	err = d.control(func(epfd int) error {
		return unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT, Fd: int32(fd)})
	})
	if err != nil {
		_ = unix.Close(fd)
		return fmt.Errorf("%w for process %d: %w", errNoPidfd, pid, err)
	}
	d.byID[id], d.byFD[int32(fd)], d.proven = watched{pid, fd}, id, true
	return nil
}

// refusalLocked is what it means that there is no pidfd of a process.
func (d *deaths) refusalLocked(pid int, err error) error {
	gone := errors.Is(err, unix.ESRCH)
	d.refused = errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM)
	switch {
	case gone && d.proven:
		return errGone
	case gone && !d.disproven:
		return errUnseen
	}
	return fmt.Errorf("%w for process %d: %w", errNoPidfd, pid, err)
}

// disbelieve says that a process lives by Docker's word that the kernel does not
// have.
func (d *deaths) disbelieve() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.disproven = true
}

// hopeful says whether a watch that failed may do better when it is tried again.
func (d *deaths) hopeful() bool {
	if d == nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.refused && (d.proven || !d.disproven)
}

func (d *deaths) control(do func(epfd int) error) error {
	var err error
	if cerr := d.raw.Control(func(fd uintptr) { err = do(int(fd)) }); cerr != nil {
		return cerr
	}
	return err
}

// forget ends the wait for a container.
func (d *deaths) forget(id string) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if was, ok := d.byID[id]; ok {
		d.dropLocked(id, was)
	}
}

func (d *deaths) dropLocked(id string, was watched) {
	delete(d.byID, id)
	delete(d.byFD, int32(was.fd))
	_ = unix.Close(was.fd) // which takes it out of the epoll instance
}

// fate is what the kernel knows of a process.
type fate int

const (
	fateUnknown fate = iota
	fateUnseen       // there is no such process, if Docker's numbers are this kernel's
	fateAlive
	fateEnded
)

// fate says what the kernel knows of a process, if it is watched.
func (d *deaths) fate(id string, pid int) fate {
	if d == nil {
		return fateUnknown
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	was, ok := d.byID[id]
	switch {
	case !ok || was.pid != pid:
		return fateUnknown
	case ended(was.fd):
		return fateEnded
	}
	return fateAlive
}

// run tells each end once, until ctx ends.
func (d *deaths) run(ctx context.Context, tell func(id string, pid int)) {
	stop := context.AfterFunc(ctx, func() { _ = d.epoll.Close() })
	defer stop()
	events := make([]unix.EpollEvent, 64)
	for {
		var n int
		err := d.raw.Read(func(fd uintptr) bool {
			var err error
			n, err = unix.EpollWait(int(fd), events, 0)
			return err == nil && n > 0
		})
		if err != nil {
			return
		}
		for _, ev := range events[:n] {
			if id, pid, ok := d.whose(ev.Fd); ok {
				tell(id, pid)
			}
		}
	}
}

// whose process a descriptor is of; false if it is no longer watched.
func (d *deaths) whose(fd int32) (string, int, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	id, ok := d.byFD[fd]
	return id, d.byID[id].pid, ok
}

// close releases what is still watched.
func (d *deaths) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, was := range d.byID {
		d.dropLocked(id, was)
	}
	_ = d.epoll.Close()
}
