package stage

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

const pollEvery = 2 * time.Millisecond

// nursery starts all processes from one thread that lives as long as the stage:
// Pdeathsig looks at the thread that started a process.
type nursery struct {
	asks  chan func()
	ended chan struct{}
}

func newNursery() *nursery {
	n := &nursery{asks: make(chan func()), ended: make(chan struct{})}
	go func() {
		defer close(n.ended)
		runtime.LockOSThread()
		for ask := range n.asks {
			ask()
		}
	}()
	return n
}

func (n *nursery) end() {
	close(n.asks)
	<-n.ended
}

func (n *nursery) start(c *exec.Cmd) error {
	if c.SysProcAttr == nil {
		c.SysProcAttr = &syscall.SysProcAttr{}
	}
	if c.SysProcAttr.Pdeathsig == 0 {
		c.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
	c.SysProcAttr.Setpgid = true // Ctrl-C is for the bench, which ends them in order
	done := make(chan error)
	n.asks <- func() { done <- c.Start() }
	if err := <-done; err != nil {
		return fmt.Errorf("starting %s: %w", c.Path, err)
	}
	return nil
}

// Process is a program that runs.
type Process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// Pid is its process ID.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Signal sends it a signal.
func (p *Process) Signal(sig syscall.Signal) error { return p.cmd.Process.Signal(sig) }

// End kills it, if it lives, and waits for its end.
func (p *Process) End() {
	if p.cmd.Process == nil {
		return // it was not even started
	}
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait() // how it ended is known
}

// Stop sends it a signal that ends it, and waits for the end.
func (p *Process) Stop(sig syscall.Signal) error {
	if err := p.Signal(sig); err != nil {
		return fmt.Errorf("stopping %s: %w", p.cmd.Path, err)
	}
	_ = p.cmd.Wait() // it may have been killed
	return nil
}

// Logged is a program that runs and writes a log.
type Logged struct {
	*Process
	log string
}

// Explain adds the end of the log to an error.
func (l *Logged) Explain(err error) error {
	if err != nil {
		err = fmt.Errorf("%w: %s says: %s", err, l.cmd.Path, tail(l.log))
	}
	return err
}

// Start starts any program; what it says goes to a log of that name.
func (s *Stage) Start(name string, c *exec.Cmd) (*Logged, error) {
	log, err := s.log(name)
	if err != nil {
		return nil, fmt.Errorf("opening the log of %s: %w", name, err)
	}
	defer func() { _ = log.Close() }()
	c.Stdout, c.Stderr = log, log
	return &Logged{&Process{cmd: c}, log.Name()}, s.nursery.start(c)
}

// launch starts a program that reads from us and prints to us.
func (s *Stage) launch(c *exec.Cmd, env ...string) (*Process, error) {
	c.Env, c.Stderr = append(os.Environ(), env...), os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.Path, err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.Path, err)
	}
	return &Process{cmd: c, in: in, out: bufio.NewReader(out)}, s.nursery.start(c)
}

// child starts a copy of this program as something else.
func (s *Stage) child(role string, spec any) (*Process, error) {
	return s.ChildOn(Host{Command: exec.Command}, role, spec)
}

// ChildOn is child on a host, with more variables for it.
func (s *Stage) ChildOn(on Host, role string, spec any, env ...string) (*Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	text, err := json.Marshal(spec)
	if err != nil {
		return nil, fmt.Errorf("telling the %s what to do: %w", role, err)
	}
	return s.launch(on.Command(self), append(env, roleVar+"="+role, specVar+"="+string(text), "TMPDIR="+s.dir)...)
}

// Line is the next that the process prints.
func (p *Process) Line(ctx context.Context) (string, error) {
	defer context.AfterFunc(ctx, func() { _ = p.cmd.Process.Kill() })()
	line, err := p.out.ReadString('\n')
	if err != nil {
		return "", errors.Join(ctx.Err(), fmt.Errorf("reading what %s prints: %w", p.cmd.Path, err))
	}
	return line[:len(line)-1], nil
}
