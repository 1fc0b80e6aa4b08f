// Package kernel reads what the kernel has counted of a process, so that every
// program is measured alike whatever it says of itself.
package kernel

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Now is CLOCK_MONOTONIC, which all processes of a host read alike.
func Now() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // there is no host without it
	return time.Duration(ts.Nano())
}

// CPU is the time, user and system, that all threads of a process have run, also
// of those that have ended. It is the process's CPU clock, in nanoseconds: the
// ticks of /proc/PID/stat would be too coarse for a short span.
func CPU(pid int) (time.Duration, error) {
	const schedClock = 2 // CPUCLOCK_SCHED, see clock_getcpuclockid(3)
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|schedClock), &ts); err != nil {
		return 0, fmt.Errorf("reading the CPU clock of process %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// Memory of a process in bytes: resident, the part of it that is no file's, and
// the most that was ever resident.
type Memory struct{ Resident, Anonymous, Peak int64 }

// MemoryOf reads /proc/PID/status.
func MemoryOf(pid int) (Memory, error) {
	m := Memory{}
	err := read(filepath.Join(proc(pid), "status"), map[string]*int64{"VmRSS": &m.Resident, "RssAnon": &m.Anonymous, "VmHWM": &m.Peak})
	return Memory{m.Resident << 10, m.Anonymous << 10, m.Peak << 10}, err
}

// Switches are how often threads were taken off a CPU: because they waited, and
// because their time was up.
type Switches struct{ Voluntary, Involuntary int64 }

// SwitchesOf sums over the threads that there are. One that has ended takes its
// count with it; Go's runtime keeps its threads.
func SwitchesOf(pid int) (Switches, error) {
	var sum Switches
	threads, err := filepath.Glob(filepath.Join(proc(pid), "task", "*", "status"))
	for _, thread := range threads {
		var s Switches
		e := read(thread, map[string]*int64{"voluntary_ctxt_switches": &s.Voluntary, "nonvoluntary_ctxt_switches": &s.Involuntary})
		if !errors.Is(e, fs.ErrNotExist) { // it has just ended
			err = errors.Join(err, e)
		}
		sum.Voluntary += s.Voluntary
		sum.Involuntary += s.Involuntary
	}
	return sum, err
}

func proc(pid int) string { return filepath.Join("/proc", strconv.Itoa(pid)) }

// read fills in numbers from lines of "name: number".
func read(path string, want map[string]*int64) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading what the kernel says of a process: %w", err)
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		if into := want[name]; into != nil {
			if *into, err = strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64); err != nil {
				return fmt.Errorf("reading %s of %s: %w", name, path, err)
			}
		}
	}
	return nil
}

// Sleep returns after d, or with ctx's error.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
