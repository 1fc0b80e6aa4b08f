package healthcheck

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
)

// FuzzPlainStatus holds that what is taken for a plain answer is what net/http
// reads.
func FuzzPlainStatus(f *testing.F) {
	for _, head := range []string{
		"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.0 204\r\nServer: x\r\n\r\n", "HTTP/1.1 404 \r\nContent-Length: 3\r\nX-A: b\tc\r\n\r\nabc",
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\ncontent-length: 4\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 200 OK\r\n folded: x\r\n\r\n", "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
		"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 500 Bad\r\n\r\n", "HTTP/1.1 200OK\r\n\r\n", "HTTP/1.12 200 OK\r\n\r\n", "HTTP/1.1 2000\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTrailer: Content-Length\r\n\r\n", "HTTP/1.1 200 OK\n\n", "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n", "HTTP/1.1 200 OK\rX\r\n\r\n",
		"HTTP/1.1 200 OK\r\n: x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 999999999999999999\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
		"HTTP/1.0 200 \n0\r\n\r\n",
	} {
		f.Add(head)
	}
	f.Fuzz(func(t *testing.T, head string) {
		code, ok := plainStatus([]byte(head))
		if !ok {
			return
		}
		answer, err := http.ReadResponse(bufio.NewReader(strings.NewReader(head)), &http.Request{Method: http.MethodGet}) //nolint:bodyclose // of a string
		if err != nil || answer.StatusCode != code {
			t.Errorf("%q is taken for %d, net/http says %v, %v", head, code, answer, err)
		}
	})
}

// TestPlainStatus holds that ordinary answers take the short way.
func TestPlainStatus(t *testing.T) {
	for head, want := range map[string]int{
		"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Mon, 23 Nov 2026 09:00:00 GMT\r\nContent-Type: text/html\r\nContent-Length: 615\r\nETag: \"6-2\"\r\nAccept-Ranges: bytes\r\n\r\n<!": 200,
		"HTTP/1.0 503 Service Unavailable\r\n\r\n":             503,
		"HTTP/1.1 204\r\n\r\n":                                 204,
		"HTTP/1.1 102 Processing\r\n\r\n":                      0,
		"HTTP/1.1 200 OK\r\nServer: x\r\n":                     0,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: x\r\n\r\n":      0,
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n":        0,
		"SSH-2.0-OpenSSH_9.2\r\n":                              0,
		"HTTP/1.1 200 OK\r\nServer: x\r\n y\r\n\r\n":           0,
		"HTTP/2.0 200 OK\r\n\r\n":                              0,
		"HTTP/1.1 200 OK\r\nX-A: \x00\r\n\r\n":                 0,
		"HTTP/1.1 200 OK\r\n" + strings.Repeat("A", 5000):      0,
		"HTTP/1.1 99999999999999999999999999999999999\r\n\r\n": 0,
	} {
		if code, ok := plainStatus([]byte(head)); ok != (want != 0) || ok && code != want {
			t.Errorf("%.60q: %d, %t, want %d", head, code, ok, want)
		}
	}
}
