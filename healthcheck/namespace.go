package healthcheck

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// Namespace is the network namespace of one life of a container. Sockets are
// made inside and nothing else runs there: a socket keeps the namespace that it
// was made in. It is opened by the first probe and held until Close, so that it
// is this life's whatever becomes of its process number and its address.
type Namespace struct {
	open func() (*os.File, error)

	mu   sync.Mutex
	file *os.File // nil before the first probe
	left bool
}

// NewNamespace returns the namespace that open opens, which has to make sure
// whose it is. open is called again by a later probe if it fails.
func NewNamespace(open func() (*os.File, error)) *Namespace { return &Namespace{open: open} }

// errLeft is no evidence against the container: its care has ended.
var errLeft = errors.New("the namespace is not in use any more")

// Close lets go of the namespace. Probes that are under way do not get in any
// more; sockets that are open stay so.
func (n *Namespace) Close() error {
	if n == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.left = true
	if n.file == nil {
		return nil
	}
	return n.file.Close()
}

func (n *Namespace) entrance() (*os.File, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.left {
		return nil, errLeft
	}
	if n.file == nil {
		f, err := n.open()
		if err != nil {
			return nil, barred(err)
		}
		n.file = f
	}
	return n.file, nil
}

// socket makes a socket inside.
func (n *Namespace) socket(family int) (int, error) {
	f, err := n.entrance()
	if err != nil {
		return -1, err
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return -1, errors.Join(errLeft, err)
	}
	fd, made := -1, error(nil)
	if err := raw.Control(func(ns uintptr) { fd, made = socketIn(int(ns), family) }); err != nil { // the file stays open for that long
		return -1, errors.Join(errLeft, err)
	}
	return fd, made
}

// socketIn makes a socket in the namespace of descriptor ns, on a thread that
// nothing else runs on meanwhile. One that cannot come back stays locked, and so
// ends with its goroutine; Go starts no thread from a locked one, so none inherits
// the namespace.
func socketIn(ns, family int) (int, error) {
	type socket struct {
		fd  int
		err error
	}
	made := make(chan socket, 1)
	go func() {
		runtime.LockOSThread()
		fd, home, err := visit(ns, family)
		if home {
			runtime.UnlockOSThread()
		}
		made <- socket{fd, err}
	}()
	s := <-made
	return s.fd, s.err
}

// visit also says whether the thread is back where it came from.
func visit(ns, family int) (int, bool, error) {
	home, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, true, os.NewSyscallError("open", err)
	}
	defer func() { _ = unix.Close(home) }()
	if err := unix.Setns(ns, unix.CLONE_NEWNET); err != nil {
		return -1, true, barred(os.NewSyscallError("setns", err))
	}
	fd, err := newSocket(family)
	return fd, unix.Setns(home, unix.CLONE_NEWNET) == nil, err
}

func newSocket(family int) (int, error) {
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	return fd, os.NewSyscallError("socket", err)
}

// barredError says that the agent may not enter, and what to do about it.
type barredError struct{ text string }

func (e *barredError) Error() string { return e.text }

// barred tells what the agent may not do from what went wrong.
func barred(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return &barredError{fmt.Sprintf("the agent may not enter the container's network namespace (%s); it needs CAP_SYS_ADMIN and CAP_SYS_PTRACE: "+
			"install netns.conf, see docs/probes.md", plain(err))}
	case errors.Is(err, unix.ESRCH) && apart():
		return &barredError{"the agent does not see the container's process; in a container it needs --pid host, " +
			"and to enter --user 0:0 --cap-add SYS_ADMIN --cap-add SYS_PTRACE, see docs/operating.md"}
	}
	return err
}

// apart says whether the agent is in a PID namespace of its own. A process that
// it does not see need not have ended then.
func apart() bool {
	const host = 0xEFFFFFFC // the inode of the first one: PID_NS_INIT_INO in linux/nsfs.h
	var own unix.Stat_t
	return unix.Stat("/proc/self/ns/pid", &own) == nil && own.Ino != host
}
