package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Engine is a Docker Engine of the test's own, beside the one that all share: it can be stopped, killed and started again.
// Its containers and the host reach each other on a bridge of its own, and nothing else.
type Engine struct {
	t      testing.TB
	dir    string
	before []string // what dockerd's command line begins with
	flags  []string
	lock   *os.File // held as long as somebody uses dir
	shared int      // index of the shared engine's bridge, which must stay
	daemon *exec.Cmd
	ended  chan struct{} // closed when daemon has ended
}

// engines is how the directories of engines begin. Its whole path has to be short, a socket's may have 108 bytes.
const engines = "eru-engine-"

// Engine starts one, with more flags for dockerd; it ends with the test, and its containers with it. What is left of an
// engine whose test was killed is cleared away first.
func (r *Rig) Engine(t testing.TB, flags ...string) *Engine {
	t.Helper()
	return r.engine(t, nil, flags)
}

// EngineBeside is Engine with processes that count in the PID namespace of another process, as if both ran on one host. It
// runs until the test ends: signals do not reach it.
func (r *Rig) EngineBeside(t testing.TB, pid string, flags ...string) *Engine {
	t.Helper()
	// Without /run it does not find this machine's containerd, whose processes would count here.
	return r.engine(t, []string{"nsenter", "--target", pid, "--pid", "--", "unshare", "--mount", "--propagation", "private",
		"sh", "-c", `mount -t proc none /proc && mount -t tmpfs none /run && exec "$@"`, "sh"}, flags)
}

func (r *Rig) engine(t testing.TB, before, flags []string) *Engine {
	t.Helper()
	flags = append(flags, "--storage-driver", r.driver(t))
	left, err := filepath.Glob(filepath.Join(os.TempDir(), engines+"*"))
	for _, dir := range left {
		if e, held := engineAt(t, dir, flags); !held {
			e.clear()
		}
	}
	dir, derr := os.MkdirTemp("", engines) //nolint:usetesting // found by a later run; that path is too long for a socket
	if err = errors.Join(err, derr); err != nil {
		t.Fatal(err)
	}
	e, _ := engineAt(t, dir, flags)
	e.before = before
	t.Cleanup(e.clear)
	if err := e.build(); err != nil {
		t.Fatal(err)
	}
	e.Start()
	return e
}

// driver is the storage driver that the shared engine uses, if another one can use it too.
func (r *Rig) driver(t testing.TB) string {
	t.Helper()
	if r.Command(t, "info", "--format", "{{.Driver}}") == "overlay2" {
		return "overlay2"
	}
	return "vfs"
}

// engineAt takes hold of a directory; held says that somebody else has it.
func engineAt(t testing.TB, dir string, flags []string) (*Engine, bool) {
	t.Helper()
	lock, err := os.Open(dir)
	if err == nil {
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	switch {
	case errors.Is(err, os.ErrNotExist): // who had it has just removed it
		return nil, true
	case errors.Is(err, syscall.EWOULDBLOCK):
		return nil, lock.Close() == nil
	case err != nil:
		t.Fatalf("taking hold of an engine's directory: %v", err)
	}
	return &Engine{t: t, dir: dir, flags: flags, lock: lock, shared: index("docker0")}, false
}

// Address is where it answers.
func (e *Engine) Address() string { return "unix://" + e.socket() }

func (e *Engine) socket() string { return filepath.Join(e.dir, "docker.sock") }

// namespace is what the engine's containers have in containerd, which may be the machine's.
func (e *Engine) namespace() string { return filepath.Base(e.dir) }

// Start starts it and returns when it has answered a listing first.
func (e *Engine) Start() time.Time {
	e.t.Helper()
	if err := e.launch(); err != nil {
		e.t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", e.socket())
	}}}
	Await(e.t, "an engine of the test's own", func() error {
		resp, err := client.Get("http://docker/containers/json?all=1")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		if resp.StatusCode != http.StatusOK {
			err = errors.Join(err, errors.New(resp.Status))
		}
		return err
	})
	return time.Now()
}

func (e *Engine) launch() error {
	program, err := lookDaemon()
	if err != nil {
		return err
	}
	// One that was killed leaves these: a socket at which nobody answers, and numbers that may by now be anybody's.
	_ = os.Remove(e.socket())
	_ = os.Remove(filepath.Join(e.dir, "pid"))
	_ = os.Remove(filepath.Join(e.dir, "exec/containerd/containerd.pid"))
	config := filepath.Join(e.dir, "daemon.json") // not the machine's, which may say otherwise
	log, err := os.OpenFile(filepath.Join(e.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err = errors.Join(err, os.WriteFile(config, []byte("{}"), 0o600)); err != nil {
		return fmt.Errorf("making a place for an engine: %w", err)
	}
	defer log.Close()
	command := append(slices.Concat(e.before, []string{
		program, "--data-root", filepath.Join(e.dir, "data"), "--exec-root", filepath.Join(e.dir, "exec"), "--pidfile", filepath.Join(e.dir, "pid"),
		"--host", e.Address(), "--config-file", config,
		"--containerd-namespace", e.namespace(), "--containerd-plugins-namespace", e.namespace() + "-plugins",
		// Never "none": dockerd then removes docker0, which is the shared engine's.
		"--bridge", e.bridge(), "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false", "--userland-proxy=false",
	}), e.flags...)
	e.daemon = exec.Command(command[0], command[1:]...)
	e.daemon.Stdout, e.daemon.Stderr = log, log
	e.daemon.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	ended := make(chan struct{})
	e.ended = ended
	go func() {
		defer close(ended)
		runtime.LockOSThread() // Pdeathsig looks at the thread that started the process.
		defer runtime.UnlockOSThread()
		err := e.daemon.Start()
		started <- err
		if err == nil {
			_ = e.daemon.Wait() // How it ended stands in its log.
		}
	}()
	return <-started
}

func lookDaemon() (string, error) {
	program, err := exec.LookPath("dockerd")
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} { // where not everybody looks
		if err != nil {
			program, err = exec.LookPath(filepath.Join(dir, "dockerd"))
		}
	}
	if err != nil {
		return "", fmt.Errorf("this test needs dockerd: %w", err)
	}
	return program, nil
}

// Stop ends it as an upgrade does, and waits for the end.
func (e *Engine) Stop() { e.signal(syscall.SIGTERM) }

// Kill ends it as a crash does, and waits for the end.
func (e *Engine) Kill() { e.signal(syscall.SIGKILL) }

func (e *Engine) signal(sig syscall.Signal) {
	if e.daemon == nil {
		return
	}
	_ = e.daemon.Process.Signal(sig) // It may have ended by itself.
	select {
	case <-e.ended:
	case <-time.After(Patience):
		e.t.Errorf("dockerd did not end at %s", sig)
		_ = e.daemon.Process.Kill()
		<-e.ended
	}
	e.daemon = nil
}

// Log is the end of what it said.
func (e *Engine) Log() string {
	log, _ := os.ReadFile(filepath.Join(e.dir, "log"))
	return string(log[max(0, len(log)-4<<10):])
}

// run has its own command line do something, once it runs.
func (e *Engine) run(args ...string) string {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	out, err := (&Rig{docker: e.Address()}).command(ctx, args...)
	if err != nil {
		e.t.Errorf("clearing an engine away: %v", err)
	}
	return strings.TrimSpace(out)
}
