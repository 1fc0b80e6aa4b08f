package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// FewDescriptors has a program start with so many descriptors at most; it is for LaunchAs.
func FewDescriptors(most int) func(*exec.Cmd) {
	return func(c *exec.Cmd) {
		c.Args = append([]string{"sh", "-c", fmt.Sprintf(`ulimit -n %d; exec "$0" "$@"`, most), c.Path}, c.Args[1:]...)
		c.Path = "/bin/sh"
	}
}

// SlowClients connects n clients to an HTTP port that get nothing done and come again when they are cut, and returns what
// ends them.
func SlowClients(t testing.TB, addr string, n int) func() {
	t.Helper()
	const ask = " HTTP/1.1\r\nHost: localhost\r\n"
	slow := []string{
		"", // and then a byte at a time, which is no request
		"GET /metrics" + ask + "X-Slow: ",
		"GET /metrics" + ask + "X-Slow: " + strings.Repeat("x", 15<<10),
	}
	deaf := []string{ // to what is answered
		strings.Repeat("GET /metrics"+ask+"\r\n", 200),
		"GET /events" + ask + "\r\n",
	}
	manners := slices.Concat(slices.Repeat(slow, 32), slices.Repeat(deaf, 2))
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			for ctx.Err() == nil {
				dawdle(ctx, addr, manners[i%len(manners)])
				pause(ctx)
			}
		})
	}
	end := sync.OnceFunc(func() { cancel(); all.Wait() })
	t.Cleanup(end)
	return end
}

// dawdle sends what begins a request and then a byte now and then, and reads nothing, until it is cut off.
func dawdle(ctx context.Context, addr, begin string) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	_ = conn.(*net.TCPConn).SetReadBuffer(1 << 10)
	for text := begin; ; text = "x" {
		_ = conn.SetWriteDeadline(time.Now().Add(time.Minute))
		if _, err := io.WriteString(conn, text); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		if pause(ctx); ctx.Err() != nil {
			return
		}
	}
}

func pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(200 * time.Millisecond):
	}
}
