package rig

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Process is a program that runs.
type Process struct {
	Out, Err *Output

	t      testing.TB
	cmd    *exec.Cmd
	exited chan struct{}
}

// Launch starts the agent's binary with args; it is killed at the end of the test, and with the test's process.
func (r *Rig) Launch(t testing.TB, args ...string) *Process {
	t.Helper()
	return r.LaunchAs(t, func(*exec.Cmd) {}, args...)
}

// LaunchAs is Launch of what prepare makes of the command: another binary, another place for its log.
func (r *Rig) LaunchAs(t testing.TB, prepare func(*exec.Cmd), args ...string) *Process {
	t.Helper()
	p := &Process{Out: newOutput(), Err: newOutput(), t: t, cmd: exec.Command(r.Binary(), args...), exited: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.Out, p.Err
	p.cmd.Env = append(os.Environ(), "NO_COLOR=1")
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	prepare(p.cmd)
	started := make(chan error)
	go func() {
		defer close(p.exited)
		runtime.LockOSThread() // Pdeathsig looks at the thread that started the process.
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // How it ended stands in ProcessState.
		}
	}()
	if err := <-started; err != nil {
		t.Fatalf("starting %s: %v", p.cmd.Path, err)
	}
	t.Cleanup(p.end)
	return p
}

func (p *Process) end() {
	_ = p.cmd.Process.Kill()
	<-p.exited
	if p.t.Failed() {
		p.t.Logf("%s ended with %d and said, at the end:\n%s", strings.Join(p.cmd.Args, " "), p.cmd.ProcessState.ExitCode(), p.Err.tail(4<<10))
	}
}

// Signal sends sig.
func (p *Process) Signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatalf("sending %s: %v", sig, err)
	}
}

// AwaitOut returns the first line of what it prints that holds text, once there is one.
func (p *Process) AwaitOut(text string) string {
	p.t.Helper()
	return p.Out.Await(p.t, text, p.exited)
}

// Pid is its process ID.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Wait returns the exit code, once there is one; -1 after a signal.
func (p *Process) Wait() int {
	p.t.Helper()
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(Patience):
		p.t.Fatalf("waiting for the end of %s", strings.Join(p.cmd.Args, " "))
		return 0
	}
}

// Exited is closed once it has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Kill ends it as a crash does, if it has not ended by itself, and waits for the end.
func (p *Process) Kill() {
	p.t.Helper()
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatalf("killing %s: %v", strings.Join(p.cmd.Args, " "), err)
	}
	p.Wait()
}

// Exec runs the agent's binary to its end and returns what it printed and its exit code.
func (r *Rig) Exec(t testing.TB, args ...string) (string, string, int) {
	t.Helper()
	p := r.Launch(t, args...)
	code := p.Wait()
	return p.Out.String(), p.Err.String(), code
}

// Agent is a running agent of a node.
type Agent struct {
	*Process
	api string
}

// Start starts an agent on the node, with more flags for it; it may not be ready yet.
func (n *Node) Start(flags ...string) *Agent {
	n.t.Helper()
	return &Agent{Process: n.Launch(n.t, append(append([]string{"run"}, n.flags()...), flags...)...)}
}

// StartAs is Start of what prepare makes of the command. An agent whose log goes elsewhere cannot be asked for its port, so
// the port is given: "127.0.0.1:12345", or "" to ask.
func (n *Node) StartAs(api string, prepare func(*exec.Cmd), flags ...string) *Agent {
	n.t.Helper()
	if api != "" {
		flags = append(flags, "--api.addr", api)
	}
	return &Agent{Process: n.LaunchAs(n.t, prepare, append(append([]string{"run"}, n.flags()...), flags...)...), api: api}
}

// API is the address of the agent's HTTP port.
func (a *Agent) API() string {
	a.t.Helper()
	if a.api != "" {
		return a.api
	}
	line := a.AwaitLog(`"msg":"starting"`)
	var start struct{ API string }
	if err := json.Unmarshal([]byte(line), &start); err != nil {
		a.t.Fatalf("reading the agent's first line %q: %v", line, err)
	}
	a.api = start.API
	return a.api
}

// AwaitLog returns the first line of the log that holds text, once there is one.
func (a *Agent) AwaitLog(text string) string {
	a.t.Helper()
	return a.Err.Await(a.t, text, a.exited)
}

// Get asks the agent's HTTP port and returns code and body.
func (a *Agent) Get(path string) (int, string, error) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+a.API()+path, nil)
	if err != nil {
		return 0, "", err
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// AwaitReady returns once /readyz says yes.
func (a *Agent) AwaitReady() *Agent {
	a.t.Helper()
	Await(a.t, "the agent to be ready", func() error {
		code, body, err := a.Get("/readyz")
		if err == nil && code != http.StatusOK {
			err = errors.New(body)
		}
		return err
	})
	return a
}

// AwaitUnready returns once /readyz says no and names text.
func (a *Agent) AwaitUnready(text string) {
	a.t.Helper()
	Await(a.t, fmt.Sprintf("the agent to be unready, naming %q", text), func() error {
		code, body, err := a.Get("/readyz")
		if err == nil && (code != http.StatusServiceUnavailable || !strings.Contains(body, text)) {
			err = fmt.Errorf("code %d, %s", code, body)
		}
		return err
	})
}

// Metric returns the sum of all series of a metric.
func (a *Agent) Metric(name string) (float64, error) {
	a.t.Helper()
	code, body, err := a.Get("/metrics")
	if err != nil || code != http.StatusOK {
		return 0, fmt.Errorf("reading metrics: code %d: %w", code, err)
	}
	sum, found := 0.0, false
	for line := range strings.Lines(body) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if base, _, _ := strings.Cut(series, "{"); base == name {
			var f float64
			if _, err := fmt.Sscan(value, &f); err != nil {
				return 0, fmt.Errorf("reading metric %q: %w", line, err)
			}
			sum, found = sum+f, true
		}
	}
	if !found {
		return 0, fmt.Errorf("reading metrics: there is no %q", name)
	}
	return sum, nil
}

// Series is how many series of its own the agent exports.
func (a *Agent) Series() (int, error) {
	a.t.Helper()
	_, body, err := a.Get("/metrics")
	return strings.Count(body, "\neru_agent_"), err
}

// Knows returns the state of a container as the agent itself knows it, whatever etcd has taken; "" if it does not.
func (a *Agent) Knows(c *Container) (string, error) {
	a.t.Helper()
	_, body, err := a.Get("/status")
	if err != nil {
		return "", err
	}
	var report struct {
		Containers []struct{ Status Status } `json:"containers"`
	}
	if err := json.Unmarshal([]byte(body), &report); err != nil {
		return "", fmt.Errorf("reading /status: %w", err)
	}
	for _, known := range report.Containers {
		if known.Status.ID == c.ID {
			return known.Status.State, nil
		}
	}
	return "", nil
}

// AwaitKnows returns once the agent itself knows the container to be in state.
func (a *Agent) AwaitKnows(c *Container, state string) {
	a.t.Helper()
	Await(a.t, fmt.Sprintf("the agent to know %s as %s", c.Name, state), func() error {
		got, err := a.Knows(c)
		if err == nil && got != state {
			err = fmt.Errorf("it is %q", got)
		}
		return err
	})
}
