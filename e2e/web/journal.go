package main

import (
	"fmt"
	"io"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// journal writes lines that begin with CLOCK_MONOTONIC in nanoseconds, which every process of a host reads alike.
type journal struct {
	mu  sync.Mutex
	out io.Writer
}

func (j *journal) log(format string, args ...any) {
	now := monotonic()
	j.mu.Lock()
	defer j.mu.Unlock()
	_, _ = fmt.Fprintf(j.out, "%d %s\n", now, fmt.Sprintf(format, args...))
}

func monotonic() int64 {
	const clockMonotonic = 1
	var ts syscall.Timespec
	_, _, _ = syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&ts)), 0)
	return ts.Nano()
}

// gate stops whoever waits at it while it is shut.
type gate struct {
	mu     sync.Mutex
	thawed chan struct{} // Nil while open.
}

func newGate() *gate { return &gate{} }

// shut shuts the gate, for good if d is 0.
func (g *gate) shut(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.thawed == nil {
		g.thawed = make(chan struct{})
	}
	if d > 0 {
		time.AfterFunc(d, g.thaw)
	}
}

func (g *gate) thaw() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.thawed != nil {
		close(g.thawed)
		g.thawed = nil
	}
}

func (g *gate) wait() {
	g.mu.Lock()
	thawed := g.thawed
	g.mu.Unlock()
	if thawed != nil {
		<-thawed
	}
}
