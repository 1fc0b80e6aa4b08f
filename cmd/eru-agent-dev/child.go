package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// child is a program that runs beside this one; what it says is in a log.
type child struct {
	name, log string
	cmd       *exec.Cmd
	ended     chan struct{}
	err       error // how it ended
}

// startSelf starts this same program as another one: "agent" or "lb".
func startSelf(ctx context.Context, dir, name string, args ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	return startChild(dir, name, exec.CommandContext(ctx, self, append([]string{name}, args...)...))
}

// startChild starts a program; the end of its context ends it, and stop waits
// for that.
func startChild(dir, name string, cmd *exec.Cmd) (*child, error) {
	c := &child{name: name, log: filepath.Join(dir, name+".log"), cmd: cmd, ended: make(chan struct{})}
	log, err := os.Create(c.log)
	if err != nil {
		return nil, fmt.Errorf("making a log for %s: %w", name, err)
	}
	defer func() { _ = log.Close() }() // the child has its own descriptor
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM} // Ctrl-C is ours to pass on
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() {
		defer close(c.ended)
		c.err = cmd.Wait()
	}()
	return c, nil
}

// failed explains why it has ended.
func (c *child) failed() error {
	return fmt.Errorf("%s ended (%w): %s; its log is %s", c.name, c.err, c.lastWords(), c.log)
}

func (c *child) lastWords() string {
	text, _ := os.ReadFile(c.log)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}

// end asks it to end and waits.
func (c *child) end() {
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	<-c.ended
}

// stop ends it; one that does not end well is an error.
func (c *child) stop() error {
	c.end()
	if c.err != nil {
		return c.failed()
	}
	return nil
}
