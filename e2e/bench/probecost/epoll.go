package probecost

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const gridStep = 100 * time.Millisecond

// runEpoll is the floor: one thread, no timeouts, no parsing, nothing that an
// agent could do without.
func runEpoll(ctx context.Context, l load) error { return runLoop(ctx, l, time.Millisecond) }

// runEpollGrid is the same with all wake-ups on a common grid.
func runEpollGrid(ctx context.Context, l load) error { return runLoop(ctx, l, gridStep) }

type loop struct {
	load
	epoll int
	grid  time.Duration
	due   []time.Time // by port
	open  map[int32]bool
	buf   [4096]byte
}

func runLoop(ctx context.Context, l load, grid time.Duration) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("creating an epoll: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	e := &loop{load: l, epoll: fd, grid: grid, open: map[int32]bool{}}
	start := time.Now()
	for i := range l.ports {
		phase := l.interval * time.Duration(i) / time.Duration(len(l.ports))
		e.due = append(e.due, start.Add(phase.Truncate(grid)))
	}
	defer func() {
		for fd := range e.open {
			_ = unix.Close(int(fd))
		}
	}()
	events := make([]unix.EpollEvent, 128)
	for ctx.Err() == nil {
		next, err := e.startDue(time.Now())
		if err != nil {
			return err
		}
		// Rounded up: it would spin through the last part of a millisecond.
		wait := min(max(time.Until(next), 0), gridStep) + time.Millisecond - 1
		n, err := unix.EpollWait(fd, events, int(wait/time.Millisecond))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("waiting: %w", err)
		}
		for _, ev := range events[:max(n, 0)] {
			e.advance(ev)
		}
	}
	return nil
}

// startDue connects to every port that is due, and returns when the next one is.
func (e *loop) startDue(now time.Time) (time.Time, error) {
	for i, due := range e.due {
		if due.After(now) {
			continue
		}
		e.due[i] = due.Add(e.interval)
		if err := e.connect(e.ports[i]); err != nil {
			return now, err
		}
	}
	return slices.MinFunc(e.due, time.Time.Compare), nil
}

func (e *loop) connect(port uint16) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening a socket: %w", err)
	}
	e.open[int32(fd)] = true
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	if e.kind == "tcp" {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_QUICKACK, 0)
	}
	err = unix.Connect(fd, &unix.SockaddrInet4{Port: int(port), Addr: [4]byte{127, 0, 0, 1}})
	if err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return fmt.Errorf("connecting: %w", err)
	}
	return unix.EpollCtl(e.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLOUT, Fd: int32(fd)})
}

func (e *loop) advance(ev unix.EpollEvent) {
	fd := int(ev.Fd)
	if ev.Events&unix.EPOLLIN != 0 {
		n, err := unix.Read(fd, e.buf[:])
		e.end(fd, err == nil && bytes.HasPrefix(e.buf[:max(n, 0)], []byte("HTTP/1.1 200")))
		return
	}
	fault, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil || fault != 0 || e.kind == "tcp" {
		e.end(fd, err == nil && fault == 0)
		return
	}
	if _, err := unix.Write(fd, []byte("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")); err != nil {
		e.end(fd, false)
		return
	}
	if unix.EpollCtl(e.epoll, unix.EPOLL_CTL_MOD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: ev.Fd}) != nil {
		e.end(fd, false)
	}
}

func (e *loop) end(fd int, pass bool) {
	delete(e.open, int32(fd))
	_ = unix.Close(fd)
	e.counted.add(pass)
}
