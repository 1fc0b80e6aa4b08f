package selfmon

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
)

// A page of another site that has its own name resolve to 127.0.0.1 reads nothing.
func TestNamesOfOthersAreRefused(t *testing.T) {
	addr := inSession(HTTP{Addr: "node7.example.com:12345"}).serve(t)
	machine, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]int{
		addr: 200, "127.0.0.1": 200, "[::1]:12345": 200, "[::1]": 200, "10.0.0.7:80": 200, "[fe80::1%25eth0]:1": 200,
		"localhost": 200, "LocalHost:12345": 200, "localhost.": 200, "node7.localhost:8080": 200,
		"n1": 200, "N1:12345": 200, machine + ":12345": 200, "": 200, "node7.example.com": 200, "Node7.Example.Com.:80": 200,
		"evil.example": 421, "evil.example:12345": 421, "localhost.evil.example": 421, "127.0.0.1.evil.example": 421,
		"n1.evil.example": 421, "notlocalhost": 421, "1.2.3": 421, "[evil.example]": 421,
	} {
		for _, path := range []string{"/", "/status", "/events", "/metrics", "/healthz", "/nowhere"} {
			got := say(t, addr, fmt.Sprintf("HEAD %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, host))
			code := want
			if path == "/nowhere" && want == http.StatusOK {
				code = http.StatusNotFound
			}
			if got.code != code || got.body != "" {
				t.Errorf("%s of %q: %d, want %d", path, host, got.code, code)
			}
		}
	}
	_, port, _ := net.SplitHostPort(addr)
	got := say(t, addr, "GET /status HTTP/1.1\r\nHost: evil.example:1\r\nConnection: close\r\n\r\n")
	if want := `this port does not go by "evil.example:1": ask localhost:` + port + ", or " + addr + "; a proxy in front has to set Host to localhost\n"; got.code != http.StatusMisdirectedRequest || got.body != want {
		t.Errorf("%d %q\nwant %q", got.code, got.body, want)
	}
}

// Where others reach the port anyway, it goes by any name, of whichever address.
func TestNamesAreFreeElsewhere(t *testing.T) {
	_, port, _ := net.SplitHostPort(inSession(HTTP{}).serveAt(t, "0.0.0.0:0"))
	if got := say(t, "127.0.0.1:"+port, "GET /healthz HTTP/1.1\r\nHost: node7.example\r\nConnection: close\r\n\r\n"); got.code != http.StatusOK {
		t.Errorf("%d %s", got.code, got.body)
	}
	for at, want := range map[string]int{
		"127.0.0.1": http.StatusMisdirectedRequest, "127.0.1.1": http.StatusMisdirectedRequest, "::1": http.StatusMisdirectedRequest,
		"::ffff:127.0.0.1": http.StatusMisdirectedRequest, "10.0.0.7": http.StatusOK, "2001:db8::7": http.StatusOK, "::": http.StatusOK,
	} {
		well := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
		w := httptest.NewRecorder()
		named(&net.TCPAddr{IP: net.ParseIP(at), Port: 12345}, nil, well).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://node7.example/healthz", nil))
		if w.Code != want {
			t.Errorf("at %s: %d %s", at, w.Code, w.Body)
		}
	}
}
