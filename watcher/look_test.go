package watcher_test

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/projecteru2/eru-agent/watcher"
)

// TestListening finds this process's own listeners.
func TestListening(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "0.0.0.0:0"} {
		l, err := net.Listen("tcp4", at)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		want := l.Addr().(*net.TCPAddr).AddrPort()
		want = netip.AddrPortFrom(want.Addr().Unmap(), want.Port())
		if got, err := watcher.Listening(os.Getpid()); err != nil || !slices.Contains(got, want) {
			t.Errorf("%s is not among %v, %v", want, got, err)
		}
	}
	if _, err := watcher.Listening(1 << 30); err == nil {
		t.Error("a process that does not exist has listeners")
	}
}
