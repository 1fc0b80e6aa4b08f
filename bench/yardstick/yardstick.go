// Package yardstick holds the probe loops that eru-agent is measured against.
// Each is a process of its own and does the same work over the same targets:
// connect, send a GET, read the status line, reset the connection; or for TCP
// connect with the last ACK held back, and reset. None has anything to do with
// Docker, etcd, verdicts, metrics or logs.
//
//   - nethttp: net/http without keep-alive, a goroutine and a timer per target,
//     a timeout of 2 s. It closes as net/http does, not by RST. HTTP only.
//   - plain: net.Conn, RST, a goroutine and a timer per target, a timeout of 2 s;
//     one read, of which the first line is looked at.
//   - plain-grid: the same, all started on a common grid of 100 ms.
//   - epoll: one thread with raw system calls, each target at its own time. It
//     has no timeouts, and looks at the first bytes alone.
//   - epoll-grid: the same on the grid.
package yardstick

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/projecteru2/eru-agent/bench/board"
)

// Grid is the common step, the agent's.
const Grid = 100 * time.Millisecond

// timeout of one probe, the agent's default.
const timeout = 2 * time.Second

// Spec is what the process is told.
type Spec struct {
	Method   string
	Kind     string // http or tcp
	Targets  int
	Port     uint16
	Interval time.Duration
	Board    string
}

// Methods are those of a kind, those first that the limits refer to.
func Methods(kind string) []string {
	methods := []string{"plain-grid", "epoll-grid", "plain", "epoll"}
	if kind == "http" {
		methods = append(methods, "nethttp")
	}
	return methods
}

// Name says in words what a method is.
func Name(method string) string {
	return map[string]string{
		"nethttp": "net/http, a timer each", "plain": "net.Conn, a timer each", "plain-grid": "net.Conn on the grid",
		"epoll": "epoll, a time each", "epoll-grid": "epoll on the grid",
	}[method]
}

// load is a Spec under way.
type load struct {
	Spec
	board *board.Board
}

func (l load) count(pass bool) {
	if pass {
		l.board.Passed.Add(1)
	} else {
		l.board.Failed.Add(1)
	}
}

// Run probes until its input ends.
func Run(s Spec) error {
	b, err := board.Open(s.Board)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	fmt.Println("probing")
	l := load{s, b}
	switch s.Method {
	case "nethttp":
		onTimers(ctx, s, l.netHTTP())
	case "plain":
		onTimers(ctx, s, l.plain(ctx))
	case "plain-grid":
		onGrid(ctx, s, l.plain(ctx))
	case "epoll":
		return runEpoll(ctx, l, time.Microsecond)
	case "epoll-grid":
		return runEpoll(ctx, l, Grid)
	default:
		return fmt.Errorf("no yardstick is called %q", s.Method)
	}
	return nil
}
