package chaos

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// A cage is a network namespace of its own in which a test runs again, all of it: its etcd, its agents, its crowd. Every
// address of the internet, IPv4 and IPv6, is the cage's own there and leads to its loopback interface. So a connection to
// any host can be made, goes nowhere, and is seen by a sniffer.

const cageEnv = "E2E_CAGE"

// caged says whether the test runs in its cage already.
func caged() bool { return os.Getenv(cageEnv) != "" }

// tally is what a row tells of itself out of its cage.
type tally struct {
	Fault        string
	Times, Wrong int
	Right        []time.Duration
	Limit        time.Duration
	Leaks, Notes []string
}

// cage runs the test in a cage and makes its row this one.
func (r *row) cage() {
	r.t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		r.t.Fatal(err)
	}
	defer read.Close()
	args := []string{"-test.run=^" + r.t.Name() + "$", "-test.count=1", "-test.v"}
	if *full {
		args = append(args, "-full")
	}
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env, cmd.ExtraFiles = append(os.Environ(), cageEnv+"=1"), []*os.File{write}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread() // Pdeathsig looks at the thread that started the process
	defer runtime.UnlockOSThread()
	out, err := cmd.CombinedOutput()
	if err = errors.Join(err, write.Close()); err != nil {
		r.t.Errorf("in its cage: %v:\n%s", err, out)
	}
	var told tally
	if err := json.NewDecoder(read).Decode(&told); err != nil {
		r.t.Errorf("the row did not come out of its cage: %v:\n%s", err, out)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fault, r.times, r.wrong, r.right, r.limit, r.leaks, r.notes = told.Fault, told.Times, told.Wrong, told.Right, told.Limit, told.Leaks, told.Notes
}

// furnish makes the cage what it shall be, and lets the row out at the end of the test.
func (r *row) furnish() {
	r.t.Helper()
	for _, line := range []string{"link set lo up", "route add local 0.0.0.0/0 dev lo", "-6 route add local ::/0 dev lo"} {
		if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			r.t.Fatalf("ip %s: %v: %s", line, err, out)
		}
	}
	r.t.Cleanup(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		told := tally{r.fault, r.times, r.wrong, r.right, r.limit, r.leaks, r.notes}
		out := os.NewFile(3, "row")
		if err := errors.Join(json.NewEncoder(out).Encode(told), out.Close()); err != nil {
			r.t.Error(fmt.Errorf("letting the row out: %w", err))
		}
	})
}
