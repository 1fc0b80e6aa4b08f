package yardstick

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/projecteru2/eru-agent/bench/board"
)

// epollLoop is the floor: one thread, no timeouts, no parsing, nothing that an
// agent could do without.
type epollLoop struct {
	load
	plan  *schedule
	epoll int
	open  map[int32]int // descriptor -> target
	buf   [1024]byte
	asks  [][]byte
}

func runEpoll(ctx context.Context, l load, grid time.Duration) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("creating an epoll: %w", err)
	}
	e := &epollLoop{load: l, plan: newSchedule(l.Spec, grid), epoll: fd, open: map[int32]int{}}
	for i := range l.Targets {
		e.asks = append(e.asks, request(l.addr(i)))
	}
	events := make([]unix.EpollEvent, 256)
	for ctx.Err() == nil {
		now := time.Now()
		for i, ok := e.plan.take(now); ok; i, ok = e.plan.take(now) {
			if err := e.connect(i); err != nil {
				return err
			}
		}
		// Rounded up: it would spin through the last part of a millisecond.
		wait := min(max(time.Until(e.plan.due()), 0), Grid) + time.Millisecond - 1
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

func (e *epollLoop) connect(i int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening a socket: %w", err)
	}
	e.open[int32(fd)] = i
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	if e.Kind == "tcp" {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_QUICKACK, 0)
	}
	err = unix.Connect(fd, &unix.SockaddrInet4{Port: int(e.Port), Addr: board.Address(i).As4()})
	if err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return fmt.Errorf("connecting: %w", err)
	}
	return unix.EpollCtl(e.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLOUT, Fd: int32(fd)})
}

func (e *epollLoop) advance(ev unix.EpollEvent) {
	fd := int(ev.Fd)
	if ev.Events&unix.EPOLLIN != 0 {
		n, err := unix.Read(fd, e.buf[:])
		e.end(fd, err == nil && well(e.buf[:max(n, 0)]))
		return
	}
	fault, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil || fault != 0 || e.Kind == "tcp" {
		e.end(fd, err == nil && fault == 0)
		return
	}
	if _, err := unix.Write(fd, e.asks[e.open[ev.Fd]]); err != nil {
		e.end(fd, false)
		return
	}
	if unix.EpollCtl(e.epoll, unix.EPOLL_CTL_MOD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: ev.Fd}) != nil {
		e.end(fd, false)
	}
}

func (e *epollLoop) end(fd int, pass bool) {
	delete(e.open, int32(fd))
	_ = unix.Close(fd)
	e.count(pass)
}
