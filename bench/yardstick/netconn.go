package yardstick

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/projecteru2/eru-agent/bench/board"
)

// netHTTP is what most programs do.
func (l load) netHTTP() func(i int) {
	client := http.Client{Timeout: timeout, Transport: &http.Transport{DisableKeepAlives: true}}
	urls := make([]string, l.Targets)
	for i := range urls {
		urls[i] = "http://" + l.addr(i).String() + "/"
	}
	return func(i int) {
		answer, err := client.Get(urls[i])
		if err != nil {
			l.count(false)
			return
		}
		_ = answer.Body.Close()
		l.count(answer.StatusCode == http.StatusOK)
	}
}

func (l load) addr(i int) netip.AddrPort { return netip.AddrPortFrom(board.Address(i), l.Port) }

// plain is the least exchange on a net.Conn.
func (l load) plain(ctx context.Context) func(i int) {
	dialer := net.Dialer{Timeout: timeout, KeepAlive: -1}
	if l.Kind == "tcp" {
		dialer.Control = holdACK
	}
	requests := make([][]byte, l.Targets)
	for i := range requests {
		requests[i] = request(l.addr(i))
	}
	return func(i int) {
		conn, err := dialer.DialTCP(ctx, "tcp", netip.AddrPort{}, l.addr(i))
		if err != nil {
			if ctx.Err() == nil {
				l.count(false)
			}
			return
		}
		_ = conn.SetLinger(0)
		l.count(l.Kind == "tcp" || exchange(conn, requests[i]))
		_ = conn.Close()
	}
}

func holdACK(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 0) })
}

func request(addr netip.AddrPort) []byte {
	return []byte("GET / HTTP/1.1\r\nHost: " + addr.String() + "\r\nUser-Agent: yardstick\r\n\r\n")
}

func exchange(conn net.Conn, request []byte) bool {
	_ = conn.SetDeadline(time.Now().Add(timeout))
	if _, err := conn.Write(request); err != nil {
		return false
	}
	var buf [1024]byte
	n, err := conn.Read(buf[:])
	return err == nil && well(buf[:n])
}

// well looks at the status line.
func well(answer []byte) bool { return bytes.HasPrefix(answer, []byte("HTTP/1.1 200 ")) }
