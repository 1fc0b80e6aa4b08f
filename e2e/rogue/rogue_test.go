package rogue

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// TestModes lets each mode answer one request, and holds that it ends with the client.
func TestModes(t *testing.T) {
	begins := map[string]string{
		"close": "", "reset": "", "deaf": "", "silent": "", "drip": "H", "garbage": "\x00\xff", "tls-garbage": "\x16\x03\x03", "tls-slow": "\x16\x03\x03",
		"tls-alerts": "\x15\x03\x03\x00\x02", "tls-certificates": "", "tls-chain": "", "tls-names": "", // to a client that speaks no TLS
		"endless-interim": "HTTP/1.1 100 ", "endless-hints": "HTTP/1.1 103 ", "redirect=http://a.test/b": "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: http://a.test/b\r\n",
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, mode := range append(Modes(), "redirect=http://a.test/b") {
		if !Knows(mode) {
			t.Errorf("%s is not known", mode)
		}
		want, ok := begins[mode]
		if !ok {
			want = "HTTP/1.1 200 "
		}
		least := len(want)
		if strings.HasPrefix(mode, "endless") {
			least = 100_000
		}
		got, ended := meet(t, l, mode, least)
		if !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("mode %s: %.80q", mode, got)
		}
		if len(got) < least {
			t.Errorf("mode %s: %d bytes", mode, len(got))
		}
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Errorf("mode %s goes on without its client", mode)
		}
	}
	if Knows("ok") || Knows("nonsense") {
		t.Error("what is no mode is known")
	}
}

// meet sends a request and reads at least so much of what comes, or for a moment; ended is closed when the mode has had
// enough.
func meet(t *testing.T, l net.Listener, mode string, least int) (string, <-chan struct{}) {
	t.Helper()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer server.Close()
		if Greet(server.(*net.TCPConn), mode) {
			return
		}
		in := bufio.NewReader(server)
		if _, err := in.ReadString('\n'); err == nil {
			Answer(in, server, mode)
		}
	}()
	patience := 10 * time.Second
	if least == 0 {
		patience = 100 * time.Millisecond
	}
	_ = client.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(client, "GET / HTTP/1.1\n")
	got := make([]byte, 100_000)
	n, _ := io.ReadAtLeast(client, got, max(least, 1))
	_ = client.(*net.TCPConn).SetLinger(0)
	return string(got[:n]), ended
}
