package chaos

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/projecteru2/eru-agent/e2e/rig"
)

// The machine's clock must stay as it is, so an agent is built whose wall clock alone can be set: package time of this Go with
// one line more, which adds what stands in a file that both processes have mapped. Nothing of it is in the product.

const clockVariable = "ERU_CHAOS_CLOCK"

// What is patched, and into what. Since, Until and every timer go by the monotonic clock, which stays.
const (
	nowWas = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	nowIs  = nowWas + "\tsec = shiftedSeconds(sec)\n"
)

const timeFile = `package time

import "sync/atomic"

var wallShift atomic.Pointer[int64]

// ShiftWall adds the seconds at p to the wall clock from now on.
func ShiftWall(p *int64) { wallShift.Store(p) }

func shiftedSeconds(sec int64) int64 {
	if p := wallShift.Load(); p != nil {
		sec += atomic.LoadInt64(p)
	}
	return sec
}
`

const mainFile = `package main

import (
	"os"
	"syscall"
	"time"
	"unsafe"
)

func init() {
	f, err := os.Open(os.Getenv("` + clockVariable + `"))
	if err != nil {
		panic(err)
	}
	page, err := syscall.Mmap(int(f.Fd()), 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic(err)
	}
	time.ShiftWall((*int64)(unsafe.Pointer(&page[0])))
}
`

// shiftable builds the agent whose clock can be set, once.
var shiftable = sync.OnceValues(func() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute) // it compiles everything anew, once per Go
	defer cancel()
	dir, err := os.MkdirTemp("", "eru-agent-clock-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	overlay, err := clockOverlay(ctx, dir)
	if err != nil {
		return "", err
	}
	return r.Build(ctx, "v0.0.0-clock", "-overlay", overlay)
})

// clockOverlay writes the files in place of which go build sees others, and the list of them.
func clockOverlay(ctx context.Context, dir string) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("asking for GOROOT: %w", err)
	}
	goTime := filepath.Join(strings.TrimSpace(string(out)), "src", "time")
	text, err := os.ReadFile(filepath.Join(goTime, "time.go"))
	if err != nil {
		return "", err
	}
	if strings.Count(string(text), nowWas) != 1 {
		return "", fmt.Errorf("%s/time.go does not begin func Now as it did; look how, and mend nowWas", goTime)
	}
	here, err := filepath.Abs("../../cmd/eru-agent")
	if err != nil {
		return "", err
	}
	replaced := map[string]string{}
	for path, text := range map[string]string{
		filepath.Join(goTime, "time.go"):  strings.Replace(string(text), nowWas, nowIs, 1),
		filepath.Join(goTime, "shift.go"): timeFile,
		filepath.Join(here, "shift.go"):   mainFile,
	} {
		put := filepath.Join(dir, fmt.Sprintf("%d.go", len(replaced)))
		if err := os.WriteFile(put, []byte(text), 0o600); err != nil {
			return "", err
		}
		replaced[path] = put
	}
	list, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, list, 0o600)
}

// clock is the wall clock of the agents that are started with it.
type clock struct {
	t      *testing.T
	binary string
	file   string
	page   []byte
}

// newClock is one that is right.
func newClock(t *testing.T) *clock {
	t.Helper()
	binary, err := shiftable()
	if err != nil {
		t.Fatal(err)
	}
	c := &clock{t: t, binary: binary, file: filepath.Join(t.TempDir(), "clock")}
	if err := os.WriteFile(c.file, make([]byte, 8), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(c.file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if c.page, err = unix.Mmap(int(f.Fd()), 0, 8, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(c.page) })
	return c
}

// set lets the clock go wrong by so much, at once. An agent that reads in that moment may see any of its bytes changed and the
// others not; a clock that jumps may show anything.
func (c *clock) set(wrong time.Duration) {
	binary.NativeEndian.PutUint64(c.page, uint64(wrong/time.Second))
}

// agent makes an agent go by this clock.
func (c *clock) agent(cmd *exec.Cmd) {
	cmd.Path = c.binary
	cmd.Env = append(cmd.Env, clockVariable+"="+c.file)
}

// start starts an agent with this clock.
func (c *clock) start(n *rig.Node, flags ...string) *rig.Agent {
	c.t.Helper()
	return n.StartAs("", c.agent, flags...)
}
