package selfmon

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

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

// What is too long, or no question, is answered and ends the connection.
func TestWhatIsTooMuchIsRefused(t *testing.T) {
	addr := inSession(HTTP{}).serve(t)
	const host = "Host: localhost\r\n"
	long := strings.Repeat("x", 2*maxHead)
	for what, tt := range map[string]struct {
		text string
		code int
	}{
		"a long header":         {"GET /healthz HTTP/1.1\r\n" + host + "X-Long: " + long + "\r\n\r\n", http.StatusRequestHeaderFieldsTooLarge},
		"many headers":          {"GET /healthz HTTP/1.1\r\n" + host + strings.Repeat("X-Many: x\r\n", maxHead/5) + "\r\n", http.StatusRequestHeaderFieldsTooLarge},
		"a long name of one":    {"GET /healthz HTTP/1.1\r\n" + host + long + ": x\r\n\r\n", http.StatusRequestHeaderFieldsTooLarge},
		"a long request line":   {"GET /explain?container=" + long + " HTTP/1.1\r\n" + host + "\r\n", http.StatusRequestHeaderFieldsTooLarge},
		"no end of it":          {"GET /" + long, http.StatusRequestHeaderFieldsTooLarge},
		"a body":                {"GET /status HTTP/1.1\r\n" + host + "Content-Length: 1000000\r\n\r\n" + long, http.StatusRequestEntityTooLarge},
		"a body of its own end": {"GET /status HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n8000\r\n" + long, http.StatusRequestEntityTooLarge},
		"a body with HEAD":      {"HEAD /status HTTP/1.1\r\n" + host + "Content-Length: 1\r\n\r\nx", http.StatusRequestEntityTooLarge},
		"POST":                  {"POST /status HTTP/1.1\r\n" + host + "Content-Length: 1000000\r\n\r\n" + long, http.StatusMethodNotAllowed},
		"a method of its own":   {"BREW / HTTP/1.1\r\n" + host + "\r\n", http.StatusMethodNotAllowed},
		"CONNECT":               {"CONNECT 10.0.0.7:80 HTTP/1.1\r\n" + host + "\r\n", http.StatusMethodNotAllowed},
		"OPTIONS of all":        {"OPTIONS * HTTP/1.1\r\n" + host + "\r\n", http.StatusMethodNotAllowed},
		"no HTTP":               {"\x16\x03\x01\x02\r\n\r\n", http.StatusBadRequest},
		"no Host":               {"GET /healthz HTTP/1.1\r\n\r\n", http.StatusBadRequest},
	} {
		got := say(t, addr, tt.text)
		if got.code != tt.code || !got.last {
			t.Errorf("%s: %d, closing %t: %s", what, got.code, got.last, got.body)
		}
		if allow := got.header.Get("Allow"); tt.code == http.StatusMethodNotAllowed && allow != "GET, HEAD" {
			t.Errorf("%s: Allow is %q", what, allow)
		}
	}
}

// Who asks and does not read the answer, or follows the page and does not read
// what changes, is cut off in time, and counted once.
func TestWhoDoesNotReadIsCut(t *testing.T) {
	for path, within := range map[string]time.Duration{"/metrics": answerWithin, "/events": 5 * time.Second} {
		t.Run(path, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := inSession(HTTP{})
				p := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- r.Serve(ctx, p) }()
				client, server := net.Pipe()
				p.conns <- server
				if _, err := io.WriteString(client, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				elapse(within - time.Millisecond)
				if n := testutil.ToFloat64(r.cut); n != 0 {
					t.Errorf("%.0f are counted too early", n)
				}
				elapse(2 * time.Millisecond)
				if n := testutil.ToFloat64(r.cut); n != 1 {
					t.Errorf("%.0f are counted", n)
				}
				if n, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
					t.Errorf("it is still open: %d bytes, %v", n, err)
				}
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}
