package cmd

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/projecteru2/eru-agent/status"
)

// lookAfterEvery is how often is read who looks after silent nodes: two small reads.
const lookAfterEvery = 5 * time.Second

// framesPerSecond bounds how often the terminal is written to: keys are answered
// sooner than by a frame of ours, and the library's 60 would wake for nothing.
const framesPerSecond = 20

// liveFleet is what the live table follows.
type liveFleet interface {
	Follow(ctx context.Context, tell func(status.Change)) error
	FollowDrains(ctx context.Context, node string, tell func(status.Drains)) error
	Vigil(ctx context.Context) (status.Vigil, error)
}

// canDraw says whether w is a terminal that has a screen to draw on.
func canDraw(w io.Writer) bool { return isTerminal(w) && os.Getenv("TERM") != "dumb" }

// watchLive keeps a live table on a terminal until ctx ends or the user has seen
// enough. However it ends, the terminal is as it was.
func watchLive(ctx context.Context, fleet liveFleet, o statusOptions, in io.Reader, out io.Writer) error {
	if f, ok := in.(*os.File); !ok || !isTerminal(f) {
		in = nil // keys do not come from there; signals do
	}
	box := newInbox()
	program := tea.NewProgram(newScreen(o, box, painter(out), time.Now()),
		tea.WithInput(in), tea.WithOutput(out), tea.WithFPS(framesPerSecond),
		tea.WithoutSignalHandler()) // ctx ends by signals
	defer context.AfterFunc(ctx, program.Quit)()
	following, cancel := context.WithCancel(ctx)
	l := listener{broken: program.Quit}
	l.goes(func() { _ = fleet.Follow(following, func(c status.Change) { box.change(c, time.Now()) }) })
	l.goes(func() { _ = fleet.FollowDrains(following, o.node, box.drains) })
	l.goes(func() { lookAfter(following, fleet, box) })
	_, err := program.Run()
	cancel()
	l.wait()
	if err != nil {
		return fmt.Errorf("drawing on the terminal: %w", err)
	}
	return nil
}

// lookAfter reads who looks after silent nodes, now and again. What cannot be read
// stays as it was.
func lookAfter(ctx context.Context, fleet liveFleet, box *inbox) {
	again := time.NewTicker(lookAfterEvery)
	defer again.Stop()
	for {
		if v, err := fleet.Vigil(ctx); err == nil {
			box.vigil(v)
		}
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
	}
}

// listener runs what fills the inbox. A panic in it must not leave the terminal
// as it is: it ends the drawing, and goes on when wait is called.
type listener struct {
	broken func()

	running sync.WaitGroup
	mu      sync.Mutex
	panic   string
}

func (l *listener) goes(do func()) {
	l.running.Go(func() {
		defer func() {
			if r := recover(); r != nil {
				l.mu.Lock()
				l.panic = fmt.Sprintf("%v\n%s", r, debug.Stack())
				l.mu.Unlock()
				l.broken()
			}
		}()
		do()
	})
}

func (l *listener) wait() {
	l.running.Wait()
	if l.panic != "" {
		panic(l.panic)
	}
}
