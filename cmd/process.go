package cmd

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// process is a process that stays the one it was when it was opened, whoever
// gets its PID after it.
type process struct {
	pid int
	fd  int
}

// openProcess opens a running process of the program that runs here.
func openProcess(pid int) (*process, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, fmt.Errorf("opening process %d: %w", pid, err)
	}
	p := &process{pid: pid, fd: fd}
	if err := p.identify(); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// identify fails unless the process runs this program, of any version: no
// answer on a port shall have another one signalled.
func (p *process) identify() error {
	mine, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program's own file: %w", err)
	}
	theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", p.pid))
	if err != nil {
		return fmt.Errorf("asking what process %d runs: %w; be root, or, if the agent has no capabilities (netns.conf), its account", p.pid, err)
	}
	theirs = strings.TrimSuffix(theirs, " (deleted)") // after an upgrade
	if filepath.Base(theirs) != filepath.Base(mine) {
		return fmt.Errorf("process %d runs %q, not %q: nothing was sent", p.pid, theirs, filepath.Base(mine))
	}
	return nil
}

func (p *process) signal(s unix.Signal) error {
	if err := unix.PidfdSendSignal(p.fd, s, nil, 0); err != nil {
		return fmt.Errorf("sending %s to process %d: %w", unix.SignalName(s), p.pid, err)
	}
	return nil
}

func (p *process) close() { _ = unix.Close(p.fd) }
