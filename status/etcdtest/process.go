package etcdtest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

const (
	memberName = "test"
	// bcryptCost is the smallest there is: with the race detector the usual one
	// takes longer than a client waits.
	bcryptCost = 4
)

// process is an etcd program with its own process.
type process struct {
	path   string
	cmd    *exec.Cmd
	out    bytes.Buffer // read once the process has ended
	exited chan struct{}
}

func newProcess() (*process, error) {
	path, err := exec.LookPath("etcd")
	if err != nil {
		return nil, fmt.Errorf("this test needs the etcd server program in PATH (Debian: apt-get install etcd-server): %w", err)
	}
	return &process{path: path}, nil
}

func (m *process) start(p place, o options) error {
	client, peer := "http://"+p.client, "http://"+p.peer
	args := []string{
		"--name", memberName, "--data-dir", p.dir, "--logger", "zap", "--log-level", "error",
		"--bcrypt-cost", strconv.Itoa(bcryptCost),
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", memberName + "=" + peer,
	}
	if a := o.authority; a != nil {
		client = "https://" + p.client
		args = append(args, "--cert-file", p.cert, "--key-file", p.key, "--trusted-ca-file", a.CAFile(), "--client-cert-auth")
	}
	if o.tokenTTL > 0 { // which 3.4 has for this kind of token alone
		secret := filepath.Join(filepath.Dir(p.dir), "token.key")
		if err := os.WriteFile(secret, []byte("a secret of the test"), 0o600); err != nil {
			return err
		}
		args = append(args, "--auth-token", fmt.Sprintf("jwt,sign-method=HS256,priv-key=%s,ttl=%s", secret, o.tokenTTL))
	}
	return m.launch(exec.Command(m.path, append(args, "--listen-client-urls", client, "--advertise-client-urls", client)...))
}

// launch runs cmd as the server's process; it ends with the test's.
func (m *process) launch(cmd *exec.Cmd) error {
	m.out.Reset()
	m.cmd = cmd
	m.cmd.Stdout, m.cmd.Stderr = &m.out, &m.out
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	m.exited = make(chan struct{})
	started := make(chan error)
	go func() {
		defer close(m.exited)
		// Pdeathsig looks at the thread that started the process, so it has to
		// live as long.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := m.cmd.Start()
		started <- err
		if err == nil {
			_ = m.cmd.Wait() // it is killed, or the test says that it does not answer
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("running %s: %w", m.path, err)
	}
	select {
	case <-m.exited: // a bad argument or a taken port is found at once
		return fmt.Errorf("%s has ended: %s", m.path, m.out.String())
	case <-time.After(100 * time.Millisecond):
		return nil
	}
}

func (m *process) stop() {
	_ = m.cmd.Process.Kill()
	<-m.exited
}

// Freeze stops the process where it stands, as a host does that hangs. It is
// for a server of StartProcess.
func (s *Server) Freeze() { s.signal(syscall.SIGSTOP) }

// Thaw lets a frozen process go on.
func (s *Server) Thaw() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	m, ok := s.member.(*process)
	if !ok {
		s.t.Fatal("only a server of StartProcess can be frozen; use a Proxy")
	}
	if err := m.cmd.Process.Signal(sig); err != nil {
		s.t.Fatalf("sending %s to etcd: %v", sig, err)
	}
}

// Restore has the server begin again with what a snapshot holds, as an operator
// does with etcdctl. It is for a server of StartProcess.
func (s *Server) Restore(snapshot string) {
	s.t.Helper()
	s.Wipe()
	peer := "http://" + s.place.peer
	cmd := exec.Command("etcdctl", "snapshot", "restore", snapshot, "--name", memberName, "--data-dir", s.place.dir,
		"--initial-cluster", memberName+"="+peer, "--initial-advertise-peer-urls", peer)
	cmd.Env = append(os.Environ(), "ETCDCTL_API=3")
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("restoring %q: %v: %s", snapshot, err, out)
	}
	s.Restart()
}
