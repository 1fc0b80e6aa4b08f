package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"
)

// outlet is where lines go: it may be full, or block.
type outlet struct {
	mu   sync.Mutex
	text strings.Builder
	room int           // bytes that it still takes; below zero for any number
	stop chan struct{} // a write waits until it is closed, if not nil
}

var errFull = errors.New("no space left")

func (o *outlet) Write(b []byte) (int, error) {
	o.mu.Lock()
	stop := o.stop
	o.mu.Unlock()
	if stop != nil {
		<-stop
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.room >= 0 && len(b) > o.room {
		n := o.room
		o.text.Write(b[:n])
		o.room = 0
		return n, errFull
	}
	o.text.Write(b)
	o.room -= min(len(b), max(o.room, 0))
	return len(b), nil
}

func (o *outlet) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func (o *outlet) give(room int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.room = room
}

func say(lost int, _ time.Time, why string) []byte {
	return fmt.Appendf(nil, "lost %d: %s\n", lost, why)
}

// TestFullOutlet has no room for some lines; the first words after that say so, on a line of their own.
func TestFullOutlet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out, lost := &outlet{room: 9}, NewLinesLost("eru_agent_")
		l := newLines(out, lost, say)
		go l.Run()
		for _, line := range []string{"first\n", "second\n", "third\n"} {
			if n, err := l.Write([]byte(line)); n != len(line) || err != nil {
				t.Errorf("writing %q: %d, %v", line, n, err)
			}
			synctest.Wait()
		}
		<-time.After(10 * time.Second)
		out.give(-1)
		<-time.After(tryAgain)
		synctest.Wait()
		if got, want := out.String(), "first\nsec\nlost 2: no space left\n"; got != want {
			t.Errorf("wrote %q, want %q", got, want)
		}
		_, _ = l.Write([]byte("fourth\n"))
		l.Close()
		if got := out.String(); !strings.HasSuffix(got, "left\nfourth\n") || testutil.ToFloat64(lost) != 2 {
			t.Errorf("wrote %q, counted %v lost", got, testutil.ToFloat64(lost))
		}
	})
}

// TestBlockedOutlet never lets who logs wait, keeps what it can, and ends although the outlet blocks.
func TestBlockedOutlet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out, lost := &outlet{room: -1, stop: make(chan struct{})}, NewLinesLost("eru_agent_")
		l := newLines(out, lost, say)
		go l.Run()
		line := []byte(strings.Repeat("x", 1023) + "\n")
		const many = 3 * maxQueued / 1024
		began := time.Now()
		for range many {
			_, _ = l.Write(line)
		}
		l.Close()
		if took := time.Since(began); took != flushWithin {
			t.Errorf("it took %s", took)
		}
		close(out.stop)
		<-l.ended
		counted := int(testutil.ToFloat64(lost))
		written := strings.Count(out.String(), "x\n")
		if written+counted != many || counted < many/2 {
			t.Errorf("%d written and %d lost of %d", written, counted, many)
		}
		if want := fmt.Sprintf("\nlost %d: they were not taken fast enough\n", counted); !strings.HasSuffix(out.String(), want) {
			t.Errorf("it does not end with %q", want)
		}
	})
}

// TestLossIsALine reads the words about what was lost as any other line of the log.
func TestLossIsALine(t *testing.T) {
	t.Setenv("JOURNAL_STREAM", "")
	for format, want := range map[string]string{
		"json": `,"msg":"log lines were lost","lines":1,"since":"`,
		"text": "\tlog lines were lost\t{\"lines\": 1, \"since\": \"",
	} {
		out := &outlet{}
		synctest.Test(t, func(t *testing.T) {
			log, lines := NewLogger(format, zap.NewAtomicLevel(), out, NewLinesLost("eru_agent_"))
			go lines.Run()
			log.Info("this is lost")
			synctest.Wait()
			out.give(-1)
			lines.Close()
		})
		if !strings.Contains(out.String(), want) || !strings.Contains(out.String(), errFull.Error()) {
			t.Errorf("%s: wrote %q", format, out.String())
		}
	}
}

// TestComplainEnds has last words for a pipe that nobody reads.
func TestComplainEnds(t *testing.T) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	defer writer.Close()
	complain(writer, strings.Repeat("x", 1<<20))
}
