package chaos

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// trial is a test within a test: what fails in it is a finding that can be looked at, and does not end the test around it.
type trial struct {
	testing.TB

	mu       sync.Mutex
	faults   []string
	log      []string
	cleanups []func()
}

// abandoned is what a trial panics with instead of ending the goroutine of the test around it.
type abandoned struct{}

// try runs do as a trial and returns what was wrong, and what was logged if anything was.
func try(t testing.TB, do func(*trial)) (faults, log []string) { //nolint:nonamedreturns // two lists that only their names tell apart
	one := &trial{TB: t}
	one.guard(func() { do(one) })
	for len(one.cleanups) > 0 {
		last := len(one.cleanups) - 1
		clean := one.cleanups[last]
		one.cleanups = one.cleanups[:last]
		one.guard(clean)
	}
	return one.faults, one.log
}

// guard lets do end early, as FailNow does.
func (t *trial) guard(do func()) {
	defer func() {
		if p := recover(); p != nil && p != any(abandoned{}) {
			panic(p)
		}
	}()
	do()
}

// Helper does nothing: lines of a trial are not told.
func (t *trial) Helper() {}

// Cleanup runs do when the trial ends, the last one first.
func (t *trial) Cleanup(do func()) { t.cleanups = append(t.cleanups, do) }

// Failed says whether anything was wrong so far.
func (t *trial) Failed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.faults) > 0
}

// Errorf notes what is wrong, each thing once.
func (t *trial) Errorf(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if fault := fmt.Sprintf(format, args...); !slices.Contains(t.faults, fault) {
		t.faults = append(t.faults, fault)
	}
}

// Error is Errorf without a format.
func (t *trial) Error(args ...any) { t.Errorf("%s", strings.TrimSpace(fmt.Sprintln(args...))) }

// Fatalf is Errorf and the end of the trial.
func (t *trial) Fatalf(format string, args ...any) {
	t.Errorf(format, args...)
	panic(abandoned{})
}

// Fatal is Fatalf without a format.
func (t *trial) Fatal(args ...any) { t.Fatalf("%s", strings.TrimSpace(fmt.Sprintln(args...))) }

// Logf keeps a line for when something is wrong.
func (t *trial) Logf(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.log = append(t.log, fmt.Sprintf(format, args...))
}
