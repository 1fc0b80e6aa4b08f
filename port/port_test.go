package port_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/projecteru2/eru-agent/port"
	"github.com/projecteru2/eru-agent/port/porttest"
)

// What a port promises.
const (
	places         = 256
	answerWithin   = 10 * time.Second
	shutdownWithin = time.Second
	maxHead        = 16 << 10
)

// well answers all that reaches it.
func well() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { port.Answer(w, nil, "well") })
}

// serve runs a port of this machine until the test ends. It returns its address, and what counts whom it cuts.
func serve(t *testing.T, handler http.Handler, cfg port.Config) (string, prometheus.Counter) {
	t.Helper()
	l := listen(t, "127.0.0.1:0")
	t.Cleanup(func() {
		if conn, err := net.Dial("tcp", l.Addr().String()); err == nil {
			_ = conn.Close()
			t.Error("the port is still open")
		}
	})
	return l.Addr().String(), serveOn(t, l, handler, cfg)
}

func listen(t *testing.T, addr string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func serveOn(t *testing.T, l net.Listener, handler http.Handler, cfg port.Config) prometheus.Counter {
	t.Helper()
	cut := port.NewCut("test_")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- port.Serve(ctx, l, handler, cfg, cut, zap.NewNop()) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return cut
}

// said is an answer of the port.
type said struct {
	code   int
	header http.Header
	body   string
	last   bool // of its connection
}

// say sends text to the port and returns what it answers.
func say(t *testing.T, addr, text string) said {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(2 * answerWithin))
	go func() { _, _ = io.WriteString(conn, text) }() // the port may answer before it has read all
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body) // the connection may be reset after the answer
	return said{resp.StatusCode, resp.Header, string(body), resp.Close}
}

// A request under way may take a second when the program stops, and Serve waits
// for it.
func TestServeEndsGracefully(t *testing.T) {
	const takes = 2 * time.Second
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(takes):
			port.Answer(w, nil, "well")
		case <-r.Context().Done():
		}
	})
	for name, tt := range map[string]struct {
		cancelAfter, ends time.Duration
		answered          bool
	}{
		"in time":  {1500 * time.Millisecond, takes, true},
		"too slow": {500 * time.Millisecond, 500*time.Millisecond + shutdownWithin, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := porttest.Listen()
				start := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), tt.cancelAfter)
				defer cancel()
				done := make(chan error, 1)
				go func() { done <- port.Serve(ctx, l, slow, port.Config{}, port.NewCut("test_"), zap.NewNop()) }()
				client := l.Dial()
				if _, err := io.WriteString(client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				resp, err := http.ReadResponse(bufio.NewReader(client), nil)
				if (err == nil) != tt.answered {
					t.Errorf("%v", err)
				}
				if err == nil {
					_ = resp.Body.Close()
				}
				_ = client.Close()
				if err := <-done; err != nil {
					t.Error(err)
				}
				if took := time.Since(start); took < tt.ends || took > tt.ends+time.Second {
					t.Errorf("it ended after %s, want about %s", took, tt.ends)
				}
			})
		})
	}
}

func TestServeThatCannotAccept(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	_ = l.Close()
	err := port.Serve(t.Context(), l, well(), port.Config{}, port.NewCut("test_"), zap.NewNop())
	if err == nil || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("%v", err)
	}
}

// What a program puts in front is asked first, and its fault is told.
func TestServeAsTold(t *testing.T) {
	cfg := port.Config{Serve: func(server *http.Server, l net.Listener) error {
		return fmt.Errorf("no certificate for %q", l.Addr())
	}}
	l := listen(t, "127.0.0.1:0")
	err := port.Serve(t.Context(), l, well(), cfg, port.NewCut("test_"), zap.NewNop())
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("no certificate for %q", l.Addr())) {
		t.Errorf("%v", err)
	}
	if _, err := l.Accept(); err == nil {
		t.Error("the listener is still open")
	}
}

func TestAnswer(t *testing.T) {
	for _, tt := range []struct {
		err  error
		code int
		body string
	}{{nil, http.StatusOK, "ready\n"}, {fmt.Errorf("etcd is away"), http.StatusServiceUnavailable, "not ready: etcd is away\n"}} {
		addr, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { port.Answer(w, tt.err, "ready") }), port.Config{})
		got := say(t, addr, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		if got.code != tt.code || got.body != tt.body || got.header.Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Errorf("%d %q %v", got.code, got.body, got.header)
		}
	}
}
