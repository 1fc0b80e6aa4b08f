package cli

import (
	"io"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// maxQueued bounds what waits to be written, in bytes.
	maxQueued = 256 << 10
	// tryAgain is after how long it is tried again to say what was lost.
	tryAgain = time.Second
	// flushWithin bounds how long a program that ends waits for its last lines
	// to be written.
	flushWithin = time.Second
)

// Lines takes the log's lines and never waits: whoever logs goes on, whatever
// becomes of the log. One goroutine writes them out. Lines that it cannot write,
// and those that come while too much waits for one that blocks, are lost and
// counted; the first line after that says how many.
type Lines struct {
	out    io.Writer
	lost   prometheus.Counter
	notice func(lost int, since time.Time, why string) []byte

	mu     sync.Mutex
	queue  [][]byte
	size   int // of queue, in bytes
	closed bool
	wake   chan struct{}
	ended  chan struct{}

	missing int // lost since it was last said
	since   time.Time
	why     string

	torn bool // of Run's goroutine: the last line was written in part
}

// newLines returns Lines for out; notice words what is said of those that were
// lost. Run must be called.
func newLines(out io.Writer, lost prometheus.Counter, notice func(lost int, since time.Time, why string) []byte) *Lines {
	return &Lines{out: out, lost: lost, notice: notice, wake: make(chan struct{}, 1), ended: make(chan struct{})}
}

// Write queues one line. It never fails and never waits.
func (l *Lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size+len(line) > maxQueued {
		l.loseLocked("they were not taken fast enough")
		return len(line), nil
	}
	l.queue = append(l.queue, append([]byte(nil), line...)) // the caller uses line again
	l.size += len(line)
	l.nudgeLocked()
	return len(line), nil
}

// Sync implements zapcore.WriteSyncer; Close is what waits.
func (l *Lines) Sync() error { return nil }

// Close takes no more lines and waits until those that are queued are written,
// but not for longer than flushWithin: a write that blocks cannot be ended.
func (l *Lines) Close() {
	l.mu.Lock()
	l.closed = true
	l.nudgeLocked()
	l.mu.Unlock()
	select {
	case <-l.ended:
	case <-time.After(flushWithin):
	}
}

func (l *Lines) nudgeLocked() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *Lines) loseLocked(why string) {
	if l.missing == 0 {
		l.since = time.Now()
	}
	l.missing++
	l.why = why
	l.lost.Inc()
}

// Run writes until Close.
func (l *Lines) Run() {
	defer close(l.ended)
	for {
		for line := l.take(); line != nil; line = l.take() {
			l.say(line)
		}
		var again <-chan time.Time
		if !l.admit() {
			again = time.After(tryAgain)
		}
		if l.isClosed() {
			return
		}
		select {
		case <-l.wake:
		case <-again:
		}
	}
}

func (l *Lines) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed && len(l.queue) == 0
}

// take removes the oldest line, nil if there is none.
func (l *Lines) take() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		l.queue = nil // lets go of what it grew to
		return nil
	}
	line := l.queue[0]
	l.queue = l.queue[1:]
	l.size -= len(line)
	return line
}

// say writes one line, which is lost if that fails.
func (l *Lines) say(line []byte) {
	err := l.write(line)
	if err == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.loseLocked(err.Error())
}

// admit says how many lines were lost, if any were; false if it still owes that.
func (l *Lines) admit() bool {
	l.mu.Lock()
	missing, since, why := l.missing, l.since, l.why
	l.mu.Unlock()
	if missing == 0 {
		return true
	}
	if l.write(l.notice(missing, since, why)) != nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.missing -= missing
	l.since = time.Now() // of those that were lost meanwhile
	return l.missing == 0
}

// write begins a line of its own after one that was cut off.
func (l *Lines) write(line []byte) error {
	if l.torn {
		line = append([]byte{'\n'}, line...)
	}
	n, err := l.out.Write(line)
	if n > 0 {
		l.torn = n < len(line)
	}
	return err
}
