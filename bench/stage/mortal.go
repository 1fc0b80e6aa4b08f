package stage

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Mortal is a process that sleeps in a control group named as a container: to
// the kernel, and so to the agent, it is that container's.
type Mortal struct {
	cmd   *exec.Cmd
	group string
}

// Mortal starts one for a container.
func (s *Stage) Mortal(container string) (*Mortal, error) {
	root, err := s.groups()
	if err != nil {
		return nil, err
	}
	m := &Mortal{cmd: exec.Command("sleep", "3600"), group: filepath.Join(root, container)}
	if err := os.Mkdir(m.group, 0o755); err != nil {
		return nil, fmt.Errorf("making a control group: %w", err)
	}
	if err := s.nursery.start(m.cmd); err != nil {
		return nil, errors.Join(err, os.Remove(m.group))
	}
	if err := os.WriteFile(filepath.Join(m.group, "cgroup.procs"), fmt.Appendf(nil, "%d\n", m.Pid()), 0); err != nil {
		m.Bury()
		return nil, fmt.Errorf("moving a process into its control group: %w", err)
	}
	return m, nil
}

// Pid is its process ID.
func (m *Mortal) Pid() int { return m.cmd.Process.Pid }

// Kill ends it.
func (m *Mortal) Kill() error { return unix.Kill(m.Pid(), unix.SIGKILL) }

// Bury removes what is left of it.
func (m *Mortal) Bury() {
	_ = m.cmd.Process.Kill()
	_ = m.cmd.Wait() // how it ended is known
	_ = os.Remove(m.group)
}

// groups is the control group of this run, which goes with the stage.
func (s *Stage) groups() (string, error) {
	if s.group != "" {
		return s.group, nil
	}
	root, err := hierarchy()
	if err != nil {
		return "", err
	}
	sweep(root)
	group := filepath.Join(root, fmt.Sprintf("%s%d", groupPrefix, os.Getpid()))
	if err := os.Mkdir(group, 0o755); err != nil {
		return "", fmt.Errorf("making a control group: %w", err)
	}
	s.onClose(func() { _ = os.Remove(group) })
	s.group = group
	return group, nil
}

const groupPrefix = "eru-agent-bench-"

// sweep removes what runs have left that were killed. A group with processes in
// it stays, because it cannot be removed.
func sweep(root string) {
	stale, _ := filepath.Glob(filepath.Join(root, groupPrefix+"*"))
	for _, group := range stale {
		pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(group), groupPrefix))
		if err != nil || !errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
			continue
		}
		below, _ := filepath.Glob(filepath.Join(group, "*", "cgroup.procs"))
		for _, procs := range below {
			_ = os.Remove(filepath.Dir(procs))
		}
		_ = os.Remove(group)
	}
}

// hierarchy is where a control group can be made: the second version's if there
// is one, else any that has no say in CPUs and devices.
func hierarchy() (string, error) {
	f, err := os.Open("/proc/self/mounts")
	if err != nil {
		return "", fmt.Errorf("looking for control groups: %w", err)
	}
	defer func() { _ = f.Close() }()
	found := ""
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 {
			continue
		}
		options := strings.Split(fields[3], ",")
		switch {
		case fields[2] == "cgroup2" && slices.Contains(options, "rw"):
			return fields[1], nil
		case fields[2] == "cgroup" && slices.Contains(options, "rw") && slices.Contains(options, "freezer"):
			found = fields[1]
		}
	}
	if found == "" {
		return "", errors.New("no control group can be made here: it takes root, and a hierarchy that is mounted for writing")
	}
	return found, nil
}
