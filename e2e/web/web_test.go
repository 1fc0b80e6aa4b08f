package main

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/e2e/rogue"
)

// start serves one port and the control port, both chosen by the kernel, and returns their addresses.
func start(t *testing.T, cfg config) (*server, string, string) {
	t.Helper()
	cfg.ports = []string{rig.FreePort(t)}
	if cfg.mode.name == "" {
		cfg.mode.name = "ok"
	}
	s := newServer(cfg, &journal{out: io.Discard})
	t.Cleanup(s.close)
	if err := errors.Join(s.serveControl("0"), s.listen(cfg.mode)); err != nil {
		t.Fatal(err)
	}
	_, control, _ := net.SplitHostPort(s.control.Addr().String())
	return s, "127.0.0.1:" + cfg.ports[0], "http://127.0.0.1:" + control
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(body))
}

// ask sends one request and reads up to 100 kB of whatever comes, until n bytes, the end or an error.
func ask(t *testing.T, address string, n int64) (string, error) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(300 * time.Millisecond))
	if _, err := io.WriteString(conn, "GET /x/../health HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"); err != nil {
		return "", err
	}
	b, err := io.ReadAll(io.LimitReader(conn, n))
	return string(b), err
}

func TestModes(t *testing.T) {
	_, address, control := start(t, config{host: "here"})
	for _, test := range []struct{ mode, begins, contains string }{
		{"503", "HTTP/1.1 503 ", "GET"},
		{"code=204", "HTTP/1.1 204 ", ""},
		{"ok", "HTTP/1.1 404 ", "Content-Length:"},
		{"chunked", "HTTP/1.1 404 ", "chunked"},
		{"sick", "HTTP/1.1 404 ", "Served-By: here\r\n"},
		{"slow=1ms", "HTTP/1.1 404 ", "Content-Length:"},
		{"redirect-self", "HTTP/1.1 302 ", "Location: /x/../health\r\n"},
		{"redirect-out", "HTTP/1.1 302 ", "Location: http://192.0.2.1/\r\n"},
		{"redirect-out=http://a.test/b", "HTTP/1.1 302 ", "Location: http://a.test/b\r\n"},
		{"garbage", "\x00\xff", ""},
		{"tls-garbage", "\x16\x03\x03", ""},
		{"endless-headers", "HTTP/1.1 200 OK\r\nX-Endless", ""},
		{"endless-body", "HTTP/1.1 200 OK\r\n", "\r\n\r\nendless"},
		{"drip", "H", ""},
	} {
		if got := get(t, control+"/behave?mode="+test.mode); !strings.HasPrefix(test.mode, got) && got != "code=503" {
			t.Fatalf("mode %q: %q", test.mode, got)
		}
		got, _ := ask(t, address, 100_000)
		if !strings.HasPrefix(got, test.begins) || !strings.Contains(got, test.contains) {
			t.Errorf("mode %q: %.80q", test.mode, got)
		}
		if strings.HasPrefix(test.mode, "endless") && len(got) != 100_000 || test.mode == "drip" && len(got) != 1 {
			t.Errorf("mode %q: %d bytes", test.mode, len(got))
		}
	}
	if got := get(t, control+"/count"); got != "14" {
		t.Errorf("count is %q, want 14", got)
	}
	if got := get(t, control+"/behave?mode=nonsense"); !strings.Contains(got, "want one of") {
		t.Errorf("nonsense: %q", got)
	}
}

func TestFailures(t *testing.T) {
	s, address, control := start(t, config{})
	for _, test := range []struct {
		mode string
		want error
	}{{"reset", syscall.ECONNRESET}, {"silent", nil}, {"refuse", syscall.ECONNREFUSED}, {"clog", nil}, {"ok", nil}} {
		get(t, control+"/behave?mode="+test.mode)
		_, err := ask(t, address, 1000)
		var timeout net.Error
		if silent := errors.As(err, &timeout) && timeout.Timeout(); silent != (test.mode == "silent" || test.mode == "clog") || !silent && !errors.Is(err, test.want) {
			t.Errorf("mode %q: %v", test.mode, err)
		}
	}
	before := get(t, control+"/count")
	get(t, control+"/behave?mode=hang")
	if got, err := ask(t, address, 1000); err == nil {
		t.Errorf("answer while hanging: %q", got)
	}
	s.gate.thaw()
	if got, err := ask(t, address, 1000); err != nil || get(t, control+"/count") == before {
		t.Errorf("after the hang: %q, %v", got, err)
	}
	get(t, control+"/behave?mode=perish%3D4")
	if got, err := ask(t, address, 1000); got != "HTTP/1.1 200 OK\r\nContent-Len" {
		t.Errorf("half an answer: %q, %v", got, err)
	}
	if code := <-s.exit; code != 4 {
		t.Errorf("exit code %d", code)
	}
	get(t, control+"/behave?mode=exit%3D3")
	if code := <-s.exit; code != 3 {
		t.Errorf("exit code %d", code)
	}
}

func TestSickServesOn(t *testing.T) {
	_, address, control := start(t, config{})
	get(t, control+"/behave?mode=sick")
	for path, want := range map[string]int{"/": 200, "/healthz": 503, "/health": 503} {
		resp, err := http.Get("http://" + address + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s is answered with %d, want %d", path, resp.StatusCode, want)
		}
	}
}

// A server that finishes answers what is under way, says that it is the last, and ends; an idle connection is closed.
func TestFinish(t *testing.T) {
	s, address, control := start(t, config{mode: mode{name: "slow", duration: 100 * time.Millisecond}})
	idle, busy := keepAlive(t, address), keepAlive(t, address)
	idle.ask(t)
	idle.read(t)
	busy.ask(t)
	for get(t, control+"/open") != "2" { // accepted, if not yet read
	}
	done := s.finish()
	if code, last := busy.read(t); !last || code != http.StatusOK {
		t.Errorf("the request under way: status %d, last %v", code, last)
	}
	if _, err := idle.in.ReadByte(); err == nil {
		t.Error("the idle connection says something more")
	}
	<-done
	if _, err := ask(t, address, 10); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("it still listens: %v", err)
	}
}

const request = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"

type kept struct {
	conn net.Conn
	in   *bufio.Reader
}

func keepAlive(t *testing.T, address string) kept {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return kept{conn, bufio.NewReader(conn)}
}

func (k kept) ask(t *testing.T) {
	t.Helper()
	if _, err := io.WriteString(k.conn, request); err != nil {
		t.Fatal(err)
	}
}

// read returns the status of the next answer, and whether it is the last.
func (k kept) read(t *testing.T) (int, bool) {
	t.Helper()
	resp, err := http.ReadResponse(k.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, resp.Close
}

func TestTLSAndKeepAlive(t *testing.T) {
	certificate, err := rogue.SelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	_, address, control := start(t, config{tls: certificate})
	conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	for range 2 {
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		resp, err := http.ReadResponse(in, nil)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%v, %v", resp, err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	if open, count := get(t, control+"/open"), get(t, control+"/count"); open != "1" || count != "1" {
		t.Errorf("%s open, %s accepted, want 1 and 1", open, count)
	}
}

func TestRun(t *testing.T) {
	for _, test := range []struct {
		env  map[string]string
		code int
		fail bool
	}{
		{env: map[string]string{"MODE": "exit=7"}, code: 7},
		{env: map[string]string{"MODE": "exit=7", "START_DELAY": "1ms", "TERM": "xterm"}, code: 7},
		{env: map[string]string{"MODE": "nonsense"}, code: 2, fail: true},
		{env: map[string]string{"START_DELAY": "soon"}, code: 2, fail: true},
		{env: map[string]string{"TERM": "linger:long"}, code: 2, fail: true},
	} {
		getenv := func(name string) string {
			switch name {
			case "PORTS":
				return rig.FreePort(t)
			case "CONTROL":
				return "off"
			}
			return test.env[name]
		}
		code, err := run(getenv, &journal{out: io.Discard})
		if code != test.code || (err != nil) != test.fail {
			t.Errorf("%v: exit code %d, %v", test.env, code, err)
		}
	}
}
