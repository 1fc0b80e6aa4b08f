package rig

import (
	"net"
	"sync/atomic"
	"testing"
)

// Trap is a URL of this machine that counts who asks for it. It ends with the test.
func Trap(t testing.TB) (string, *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "0.0.0.0:0") //nolint:gosec // whoever asks, at whichever address, is to be counted
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	count := &atomic.Int64{}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			count.Add(1)
			_ = conn.Close()
		}
	}()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return "http://127.0.0.1:" + port + "/", count
}
