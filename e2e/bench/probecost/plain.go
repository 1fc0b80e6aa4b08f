package probecost

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// eachOnTimer gives every port a goroutine and a ticker of its own, evenly
// spread over the interval.
func eachOnTimer(ctx context.Context, l load, ask func(addr string) bool) error {
	var all sync.WaitGroup
	defer all.Wait()
	for i, port := range l.ports {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port)))
		phase := l.interval * time.Duration(i) / time.Duration(len(l.ports))
		all.Go(func() {
			timer := time.NewTimer(phase)
			defer timer.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-timer.C:
					timer.Reset(l.interval)
					l.counted.add(ask(addr))
				}
			}
		})
	}
	return nil
}

// runNetHTTP is what most programs would do.
func runNetHTTP(ctx context.Context, l load) error {
	client := http.Client{Timeout: timeout, Transport: &http.Transport{DisableKeepAlives: true}}
	return eachOnTimer(ctx, l, func(addr string) bool {
		answer, err := client.Get("http://" + addr + "/")
		if err != nil {
			return false
		}
		defer func() { _ = answer.Body.Close() }()
		return answer.StatusCode == http.StatusOK
	})
}

// runPlain is the least exchange on a net.Conn, closed by RST.
func runPlain(ctx context.Context, l load) error {
	dialer := net.Dialer{Timeout: timeout, KeepAlive: -1}
	return eachOnTimer(ctx, l, func(addr string) bool {
		conn, err := dialer.Dial("tcp", addr)
		if err != nil {
			return false
		}
		defer func() { _ = conn.Close() }()
		_ = conn.(*net.TCPConn).SetLinger(0)
		return l.kind == "tcp" || exchange(conn, addr)
	})
}

func exchange(conn net.Conn, addr string) bool {
	_ = conn.SetDeadline(time.Now().Add(timeout))
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: "+addr+"\r\n\r\n"); err != nil {
		return false
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil) //nolint:bodyclose // the connection is reset
	if err != nil {
		return false
	}
	return answer.StatusCode == http.StatusOK
}
