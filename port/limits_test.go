package port_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/projecteru2/eru-agent/port"
)

// Whatever else is asked, wherever, does not reach the handler.
func TestOnlyGetAndHead(t *testing.T) {
	addr, _ := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s %s was let in", r.Method, r.URL) }), port.Config{})
	for _, path := range []string{"/", "/nowhere"} {
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW"} {
			got := say(t, addr, fmt.Sprintf("%s %s HTTP/1.1\r\nHost: localhost\r\n\r\n", method, path))
			if got.code != http.StatusMethodNotAllowed || got.header.Get("Allow") != "GET, HEAD" || !got.last || got.body != "this port answers GET and HEAD only\n" {
				t.Errorf("%s %s: %+v", method, path, got)
			}
		}
	}
}

// Browsers are told to make no more of an answer than it is, of a refusal either.
func TestAnswersAreTakenForWhatTheyAre(t *testing.T) {
	addr, _ := serve(t, well(), port.Config{})
	for _, method := range []string{"GET", "HEAD", "POST"} {
		header := say(t, addr, method+" / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").header
		if header.Get("X-Content-Type-Options") != "nosniff" || header.Get("Referrer-Policy") != "no-referrer" ||
			header.Get("Cross-Origin-Resource-Policy") != "same-origin" || header.Get("Content-Type") == "" {
			t.Errorf("%s: %v", method, header)
		}
	}
}

// What is too long, or no question, is answered and ends the connection.
func TestWhatIsTooMuchIsRefused(t *testing.T) {
	addr, _ := serve(t, well(), port.Config{})
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
		"a huge body":           {"GET /status HTTP/1.1\r\n" + host + "Content-Length: 1099511627776\r\n\r\nx", http.StatusRequestEntityTooLarge},
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
