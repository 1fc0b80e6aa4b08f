package watcher

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// apart is a child in a network namespace of its own. It needs root.
func apart(t *testing.T) *child {
	t.Helper()
	c := &child{Cmd: exec.Command("sleep", "1000")}
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	c.pid = c.Process.Pid
	t.Cleanup(c.kill)
	return c
}

// giveAnew ends c and gives its number to another process, apart from it. Others make processes meanwhile, so it may take
// the kernel a few until it comes to that number.
func (c *child) giveAnew(t *testing.T) *child {
	t.Helper()
	c.kill()
	for range 1000 {
		if err := os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(strconv.Itoa(c.pid-1)), 0); err != nil {
			t.Fatal(err)
		}
		next := apart(t)
		if next.pid == c.pid {
			return next
		}
		next.kill()
	}
	t.Fatalf("the kernel does not give number %d anew", c.pid)
	return nil
}

func inode(t *testing.T, stat func() (os.FileInfo, error)) uint64 {
	t.Helper()
	info, err := stat()
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Ino
}

func (c *child) inode(t *testing.T) uint64 {
	t.Helper()
	return inode(t, func() (os.FileInfo, error) { return os.Stat(fmt.Sprintf("/proc/%d/ns/net", c.pid)) })
}

// A namespace is the container's or none, whenever its process number becomes another process's.
func TestNamespaceOfNumberGivenAnew(t *testing.T) {
	c := apart(t)
	ns, err := Container{ID: "web", Pid: c.pid}.namespace(anybody)
	if err != nil {
		t.Fatal(err)
	}
	own, file := c.inode(t), inode(t, ns.Stat)
	if own != file || own == (&child{pid: os.Getpid()}).inode(t) {
		t.Errorf("namespace %d of a process in %d", file, own)
	}
	next := c.giveAnew(t)
	if later := inode(t, ns.Stat); later != own || later == next.inode(t) {
		t.Errorf("the open namespace %d has become %d, that of the next process is %d", own, later, next.inode(t))
	}
	if err := ns.Close(); err != nil {
		t.Error(err)
	}

	for when, whose := range map[string]func(c *child) (Container, func(int, string) error){
		"before": func(c *child) (Container, func(int, string) error) {
			c.giveAnew(t)
			return Container{ID: "0123456789abcdef", Pid: c.pid}, belongs
		},
		"before the owner is looked up": func(c *child) (Container, func(int, string) error) {
			return Container{ID: "0123456789abcdef", Pid: c.pid}, func(pid int, id string) error {
				c.giveAnew(t)
				return belongs(pid, id)
			}
		},
		"after the owner was looked up": func(c *child) (Container, func(int, string) error) {
			return Container{ID: "web", Pid: c.pid}, func(int, string) error {
				c.giveAnew(t)
				return nil
			}
		},
		"not yet: it has ended": func(c *child) (Container, func(int, string) error) {
			c.kill()
			return Container{ID: "web", Pid: c.pid}, anybody
		},
	} {
		t.Run(when, func(t *testing.T) {
			container, belongs := whose(apart(t))
			before := descriptors(t)
			ns, err := container.namespace(belongs)
			if ns != nil || !errors.Is(err, unix.ESRCH) {
				t.Errorf("namespace %v, error %v", ns, err)
			}
			if after := descriptors(t); after > before {
				t.Errorf("%d descriptors, had %d", after, before)
			}
		})
	}
}

// An agent that has no descriptor left says so, and nothing of the container.
func TestNamespaceWithoutDescriptors(t *testing.T) {
	c := apart(t)
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	free, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0) // all below it are taken
	if err != nil {
		t.Fatal(err)
	}
	_ = unix.Close(free)
	for left := range 2 { // one is the pidfd's
		tight := unix.Rlimit{Cur: uint64(free + left), Max: limit.Max}
		err := unix.Setrlimit(unix.RLIMIT_NOFILE, &tight)
		ns, refused := Container{ID: "web", Pid: c.pid}.Namespace()
		if err := errors.Join(err, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)); err != nil {
			t.Fatal(err)
		}
		if ns != nil || !errors.Is(refused, unix.EMFILE) {
			t.Errorf("with %d descriptors: namespace %v, error %v", left, ns, refused)
		}
	}
}

// A real container's process is believed, another's is not.
func TestRealNamespace(t *testing.T) {
	d := newRealDocker(t)
	web, other := d.lives(d.start(), "bridge"), d.lives(d.start("--network", "none"), "")
	for _, c := range []Container{web, other} {
		ns, err := c.Namespace()
		d.must(err)
		if got, want := inode(t, ns.Stat), (&child{pid: c.Pid}).inode(t); got != want {
			t.Errorf("namespace %d of a process in %d", got, want)
		}
		d.must(ns.Close())
	}
	web.Pid = other.Pid
	if ns, err := web.Namespace(); ns != nil || !errors.Is(err, unix.ESRCH) {
		t.Errorf("namespace %v, error %v", ns, err)
	}
}
