package rig

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"
)

// Output keeps what a process prints.
type Output struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{}
}

func newOutput() *Output { return &Output{changed: make(chan struct{})} }

func (o *Output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.changed)
	o.changed = make(chan struct{})
	return o.text.Write(b)
}

func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func (o *Output) tail(n int) string {
	text := o.String()
	return text[max(0, len(text)-n):]
}

// Await returns the first whole line that holds text, once there is one; it fails once exited is closed and there is
// none.
func (o *Output) Await(t testing.TB, text string, exited <-chan struct{}) string {
	t.Helper()
	late := time.After(Patience)
	for {
		o.mu.Lock()
		all, changed := o.text.String(), o.changed
		o.mu.Unlock()
		for line := range strings.Lines(all) {
			if strings.Contains(line, text) && strings.HasSuffix(line, "\n") {
				return strings.TrimSuffix(line, "\n")
			}
		}
		select {
		case <-changed:
		case <-exited:
			if after := o.String(); after != all {
				continue
			}
			t.Fatalf("waiting for %q in the output: the process has ended without it", text)
		case <-late:
			t.Fatalf("waiting for %q in the output: not there", text)
		}
	}
}
