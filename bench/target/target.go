// Package target is what is probed: one process that answers on every address
// of 127.1.0.0/16 as a healthy HTTP service does, at as little cost as can be,
// so that it takes no CPU from those who are measured. It answers a request with
// a canned 200 and then waits for the client to hang up, as a service does that
// keeps connections; a client that asks for "Connection: close" gets it.
package target

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/projecteru2/eru-agent/bench/board"
	"github.com/projecteru2/eru-agent/bench/kernel"
)

const (
	acceptors = 2
	backlog   = 4096
)

var (
	answer = []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n") //nolint:gochecknoglobals // never changes
	closes = []byte("\r\nConnection: close")                                                        //nolint:gochecknoglobals // never changes
)

// Spec is what the process is told.
type Spec struct{ Board string }

// Serve prints the port that it answers on, and answers until its input ends.
func Serve(s Spec) error {
	b, err := board.Open(s.Board)
	if err != nil {
		return err
	}
	port := 0
	for range acceptors {
		a, err := listen(b, port)
		if err != nil {
			return err
		}
		if port, err = a.port(); err != nil {
			return err
		}
		go a.run()
	}
	fmt.Println(port)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// acceptor is one thread with a listening socket of its own; the kernel shares
// out connections among those on one port.
type acceptor struct {
	board    *board.Board
	listener int
	epoll    int
	buf      [4096]byte
}

func listen(b *board.Board, port int) (*acceptor, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1),
			unix.Bind(fd, &unix.SockaddrInet4{Port: port}), unix.Listen(fd, backlog))
	}
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("creating an epoll: %w", err)
	}
	a := &acceptor{board: b, listener: fd, epoll: epoll}
	return a, a.await(fd)
}

func (a *acceptor) await(fd int) error {
	return unix.EpollCtl(a.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP, Fd: int32(fd)})
}

func (a *acceptor) port() (int, error) {
	name, err := unix.Getsockname(a.listener)
	if err != nil {
		return 0, fmt.Errorf("reading the port: %w", err)
	}
	return name.(*unix.SockaddrInet4).Port, nil
}

func (a *acceptor) run() {
	runtime.LockOSThread()
	events := make([]unix.EpollEvent, 256)
	for {
		n, err := unix.EpollWait(a.epoll, events, -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
		for _, ev := range events[:max(n, 0)] {
			if int(ev.Fd) == a.listener {
				a.accept()
			} else {
				a.serve(int(ev.Fd))
			}
		}
	}
}

func (a *acceptor) accept() {
	for {
		fd, _, err := unix.Accept4(a.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			return // no more for now
		}
		if name, err := unix.Getsockname(fd); err == nil {
			addr := name.(*unix.SockaddrInet4).Addr
			a.board.Accept(int(addr[2])<<8|int(addr[3]), kernel.Now())
		}
		if err := a.await(fd); err != nil {
			_ = unix.Close(fd)
			continue
		}
		a.serve(fd) // the request is mostly there
	}
}

// serve answers what has come. A request fits into one packet here.
func (a *acceptor) serve(fd int) {
	n, err := unix.Read(fd, a.buf[:])
	if errors.Is(err, unix.EAGAIN) {
		return
	}
	if err != nil || n == 0 {
		_ = unix.Close(fd)
		return
	}
	_, err = unix.Write(fd, answer)
	if err != nil || bytes.Contains(a.buf[:n], closes) {
		_ = unix.Close(fd)
	}
}
