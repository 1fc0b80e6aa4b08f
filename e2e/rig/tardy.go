package rig

import (
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// patient is how long a request may wait for this process before that was too busy to stand for a container: less than any
// timeout of a probe here.
const patient = 200 * time.Millisecond

// tardyWithin bounds the asking.
const tardyWithin = 2 * time.Second

// keepTime notes for how long a connection, or what was read from it last, has waited for this process; the kernel knows.
func (c *Crowd) keepTime(conn net.Conn) {
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return
	}
	waited := time.Duration(0)
	_ = raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			waited = time.Duration(info.Last_data_recv) * time.Millisecond
		}
	})
	if waited <= patient {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tardy[host(conn)] = time.Now()
}

// Tardy says whether the container that has an endpoint has let somebody wait, at since or later, because this process was
// too busy. Its probes then fail, and rightly so. It asks there itself, behind whoever waits.
func (c *Crowd) Tardy(endpoint string, since time.Time) bool {
	return c.TardyBy(func(endpoint string) (net.Conn, error) { return net.DialTimeout("tcp", endpoint, tardyWithin) }, endpoint, since)
}

// TardyBy is Tardy of an endpoint that dial reaches.
func (c *Crowd) TardyBy(dial func(endpoint string) (net.Conn, error), endpoint string, since time.Time) bool {
	began := time.Now()
	if conn, err := dial(endpoint); err == nil {
		_ = conn.SetDeadline(began.Add(tardyWithin))
		_, _ = fmt.Fprint(conn, "GET / HTTP/1.1\r\n\r\n")
		_, _ = io.Copy(io.Discard, conn)
		_ = conn.Close()
	}
	if time.Since(began) > patient {
		return true
	}
	host, _, _ := net.SplitHostPort(endpoint)
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.tardy[host].Before(since)
}
