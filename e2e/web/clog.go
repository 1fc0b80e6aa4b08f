package main

import (
	"fmt"
	"net"
	"strconv"
	"syscall"
	"time"
)

// clog listens on a port as a process does that is too busy to accept: its queue of one is full of its own connections.
type clog struct {
	fd    int
	queue []net.Conn
}

func newClog(port string) (*clog, error) {
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, fmt.Errorf("clogging port %q: %w", port, err)
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("clogging port %q: %w", port, err)
	}
	c := &clog{fd: fd}
	err = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	if err == nil {
		err = syscall.Bind(fd, &syscall.SockaddrInet4{Port: number})
	}
	if err == nil {
		err = syscall.Listen(fd, 0)
	}
	if err != nil {
		c.close()
		return nil, fmt.Errorf("clogging port %q: %w", port, err)
	}
	c.fill("127.0.0.1:" + port)
	return c, nil
}

// fill connects until nobody can.
func (c *clog) fill(address string) {
	for {
		conn, err := net.DialTimeout("tcp", address, 100*time.Millisecond)
		if err != nil {
			return
		}
		c.queue = append(c.queue, conn)
	}
}

func (c *clog) close() {
	if c == nil {
		return
	}
	_ = syscall.Close(c.fd)
	for _, conn := range c.queue {
		_ = conn.Close()
	}
}
