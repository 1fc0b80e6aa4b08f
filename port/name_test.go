package port_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"testing"

	"github.com/projecteru2/eru-agent/port"
)

// A page of another site that has its own name resolve to 127.0.0.1 reads nothing.
func TestNamesOfOthersAreRefused(t *testing.T) {
	addr, _ := serve(t, well(), port.Config{Addr: "node7.example.com:12345", Names: []string{"n1"}})
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
		got := say(t, addr, fmt.Sprintf("HEAD / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", host))
		if got.code != want || got.body != "" {
			t.Errorf("%q: %d, want %d", host, got.code, want)
		}
	}
	_, number, _ := net.SplitHostPort(addr)
	got := say(t, addr, "GET / HTTP/1.1\r\nHost: evil.example:1\r\nConnection: close\r\n\r\n")
	if want := `this port does not go by "evil.example:1": ask localhost:` + number + ", or " + addr + "; a proxy in front has to set Host to localhost\n"; got.code != http.StatusMisdirectedRequest || got.body != want {
		t.Errorf("%d %q\nwant %q", got.code, got.body, want)
	}
}

// elsewhere is a listener that says that it is at another address.
type elsewhere struct {
	net.Listener

	ip string
}

func (e elsewhere) Addr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(e.ip), Port: 12345} }

// Where others reach the port anyway, it goes by any name, of whichever address.
func TestNamesAreFreeElsewhere(t *testing.T) {
	for ip, want := range map[string]int{
		"127.0.0.1": http.StatusMisdirectedRequest, "127.0.1.1": http.StatusMisdirectedRequest, "::1": http.StatusMisdirectedRequest,
		"::ffff:127.0.0.1": http.StatusMisdirectedRequest, "10.0.0.7": http.StatusOK, "2001:db8::7": http.StatusOK, "::": http.StatusOK,
	} {
		l := listen(t, "127.0.0.1:0")
		serveOn(t, elsewhere{l, ip}, well(), port.Config{})
		if got := say(t, l.Addr().String(), "GET / HTTP/1.1\r\nHost: node7.example\r\nConnection: close\r\n\r\n"); got.code != want {
			t.Errorf("at %s: %d %s", ip, got.code, got.body)
		}
	}
	l := listen(t, "0.0.0.0:0")
	serveOn(t, l, well(), port.Config{})
	_, number, _ := net.SplitHostPort(l.Addr().String())
	if got := say(t, "127.0.0.1:"+number, "GET / HTTP/1.1\r\nHost: node7.example\r\nConnection: close\r\n\r\n"); got.code != http.StatusOK {
		t.Errorf("at all addresses: %d %s", got.code, got.body)
	}
}
