package cmd

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/projecteru2/eru-agent/status"
)

// brokenFleet panics where it is told to.
type brokenFleet struct{ follow, drains, vigil bool }

func (f brokenFleet) Follow(ctx context.Context, _ func(status.Change)) error {
	return breakOr(ctx, f.follow)
}

func (f brokenFleet) FollowDrains(ctx context.Context, _ string, _ func(status.Drains)) error {
	return breakOr(ctx, f.drains)
}

func (f brokenFleet) Vigil(context.Context) (status.Vigil, error) {
	if f.vigil {
		panic("broken")
	}
	return status.Vigil{}, nil
}

func breakOr(ctx context.Context, broken bool) error {
	if broken {
		panic("broken")
	}
	<-ctx.Done()
	return nil
}

// TestLivePanic panics beside the drawing: the terminal is given back before the
// panic goes on.
func TestLivePanic(t *testing.T) {
	t.Setenv("TERM", "xterm")
	for name, fleet := range map[string]brokenFleet{"statuses": {follow: true}, "drains": {drains: true}, "monitor": {vigil: true}} {
		t.Run(name, func(t *testing.T) {
			master, terminal := openPair(t, 80, 24)
			before := termios(t, terminal)
			written := make(chan string)
			go func() { // until nobody is on the terminal any more
				b, _ := io.ReadAll(master)
				written <- string(b)
			}()
			said := watchPanic(t.Context(), fleet, terminal)
			if !strings.HasPrefix(said, "broken\n") || !strings.Contains(said, "brokenFleet") {
				t.Errorf("the panic says %q, without where it was", said)
			}
			if got := termios(t, terminal); got != before {
				t.Errorf("the terminal's modes are %+v, and were %+v", got, before)
			}
			_ = terminal.Close()
			raw := <-written
			if on, off := strings.LastIndex(raw, "\x1b[?1049h"), strings.LastIndex(raw, "\x1b[?1049l"); on > off {
				t.Errorf("the terminal's other screen is not given back: %q", raw)
			}
			if on, off := strings.LastIndex(raw, "\x1b[?25l"), strings.LastIndex(raw, "\x1b[?25h"); on > off {
				t.Errorf("the cursor is not given back: %q", raw)
			}
		})
	}
}

// TestLiveWithoutKeys draws on a terminal where keys come from somewhere else, until
// ctx ends.
func TestLiveWithoutKeys(t *testing.T) {
	t.Setenv("TERM", "xterm")
	master, terminal := openPair(t, 80, 24)
	ctx, cancel := context.WithCancel(t.Context())
	drawn := make(chan bool)
	go func() {
		defer close(drawn)
		defer cancel()
		var raw strings.Builder
		buffer := make([]byte, 4096)
		for !strings.Contains(raw.String(), "reading etcd") {
			n, err := master.Read(buffer)
			if err != nil {
				return
			}
			raw.Write(buffer[:n])
		}
		drawn <- true
	}()
	ended := make(chan error)
	go func() { ended <- watchLive(ctx, brokenFleet{}, statusOptions{}, strings.NewReader("q"), terminal) }()
	if !<-drawn {
		t.Error("nothing is drawn")
	}
	if err := <-ended; err != nil {
		t.Errorf("at the end of ctx: %v", err)
	}
}

// watchPanic returns with what watchLive panics.
func watchPanic(ctx context.Context, fleet liveFleet, terminal *os.File) string {
	said := make(chan string)
	go func() {
		defer func() { said <- fmt.Sprint(recover()) }()
		_ = watchLive(ctx, fleet, statusOptions{}, terminal, terminal)
	}()
	return <-said
}

func termios(t *testing.T, f *os.File) unix.Termios {
	t.Helper()
	modes, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *modes
}
