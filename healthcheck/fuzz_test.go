package healthcheck_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/projecteru2/eru-agent/healthcheck"
)

// sound says what must hold of every parse.
func sound(t *testing.T, check healthcheck.Check, err error) {
	t.Helper()
	var fault *healthcheck.LabelError
	switch {
	case err != nil:
		text := err.Error()
		if !errors.As(err, &fault) || fault.Label == "" || fault.Want == "" || len(text) > 2048 || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%T %q", err, text)
		}
	case check.Interval < config().MinInterval || check.Interval > healthcheck.MaxInterval,
		check.Timeout < healthcheck.MinTimeout || check.Timeout > healthcheck.MaxTimeout,
		len(check.Probes) > 1+healthcheck.MaxPorts, len(check.Publish) > 1+healthcheck.MaxPorts:
		t.Errorf("%+v", check)
	}
}

func FuzzLabels(f *testing.F) {
	f.Add("eru.health.http.port", "80", "eru.health.http.path", "/h")
	f.Add("eru.health.http.port", "80", "eru.health.http.codes", "200-299,404")
	f.Add("eru.health.http.port", "443", "eru.health.http.scheme", "https")
	f.Add("eru.health.http.port", "80", "eru.health.http.body", "(?i)ok{2,3}")
	f.Add("eru.health.http.port", "80", "eru.health.http.header.X-A", "b")
	f.Add("eru.health.http.port", "80", "eru.health.http.host", "[::1]:80")
	f.Add("eru.health.tcp.ports", "5001,5002", "eru.publish", "80")
	f.Add("eru.health.interval", "1m", "eru.health.timeout", "2s")
	f.Add("ERU_META", `{"HealthCheck":{"HTTPPort":"80"}}`, "eru.health.http.method", "HEAD")
	f.Add("eru.health.http.port", "80\r\n", "eru.health.http.path", "/ HTTP/1.1\r\nHost: evil.test\r\n\r\nGET /")
	f.Add("eru.health.http.port", "80", "eru.health.http.header.X", "a\r\nX: y")
	f.Add("eru.health.http.port", "80", "eru.health.http.header.host ", "evil.test")
	f.Add("eru.health.http.port", "80", "eru.health.http.host", "user@[2001:db8::9]:80")
	f.Add("eru.health.http.port ", "８０", "eru.health.HTTP.port", "80")
	parser := healthcheck.NewParser(config())
	f.Fuzz(func(t *testing.T, label1, value1, label2, value2 string) {
		set := labels{label1: value1, label2: value2}
		check, err := parser.Parse(set)
		sound(t, check, err)
		if err != nil {
			return
		}
		// Never silently "no check".
		for label := range set {
			if name, ours := strings.CutPrefix(label, "eru.health."); ours && len(check.Probes) == 0 {
				if name != "interval" && name != "timeout" && name != "network" && name != "via" {
					t.Errorf("%q made no probe", label)
				}
			}
		}
	})
}

func FuzzMeta(f *testing.F) {
	f.Add(`{"Publish":["80"],"HealthCheck":{"TCPPorts":["5001"],"HTTPPort":"80","HTTPURL":"/h","HTTPCode":200}}`)
	f.Add(`{"HealthCheck":{"HTTPPort":"80","HTTPCode":0}}`)
	f.Add(`{"HealthCheck":{"HTTPURL":"/h"}}`)
	f.Add(`{"HealthCheck":null,"Publish":null}`)
	f.Add(`{"healthcheck":{"tcpports":["1","2"]}}`)
	f.Add(`null`)
	f.Add(`{"HealthCheck":{"HTTPPort":"80","HTTPPort":"192.0.2.9:80"}}`)
	f.Add(`{"HealthCheck":{"HTTPPort":"80"},"HealthCheck":{"HTTPPort":80}}`)
	f.Add(`{"HealthCheck":{"HTTPPort":"80","HTTPURL":"http://192.0.2.9/\u000d\u000aX: y","HTTPCode":1e400}}`)
	f.Add(`{"Other":` + strings.Repeat("[", 9999) + strings.Repeat("]", 9999) + `}`)
	parser := healthcheck.NewParser(config())
	f.Fuzz(func(t *testing.T, meta string) {
		check, err := parser.Parse(labels{"ERU_META": meta})
		sound(t, check, err)
	})
}

// FuzzAnswer lets a server say anything, and then close, or stay silent.
func FuzzAnswer(f *testing.F) {
	for _, answer := range []string{
		ok, "HTTP/1.1 500 X\r\n\r\n", "HTTP/1.1 100 C\r\n\r\n" + ok, chunked("ok", 1), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", "HTTP/1.1 200", "\x16\x03\x01", "",
		"HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", 9) + "\r\n", "HTTP/1.1 000 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nTrailer: A\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n",
	} {
		f.Add([]byte(answer), true)
		f.Add([]byte(answer), false)
	}
	parser := healthcheck.NewParser(config())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = l.Close() })
	addr := l.Addr().(*net.TCPAddr).AddrPort()
	check, err := parser.Parse(labels{"eru.health.http.port": portOf(addr), "eru.health.http.body": "^(ok|a.*z)$"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, answer []byte, hangUp bool) {
		served := make(chan struct{})
		go func() {
			defer func() { served <- struct{}{} }()
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer func() { _ = conn.Close() }()
			_, _ = conn.Write(answer)
			if !hangUp {
				silent(nil, conn)
			}
		}()
		ctx, cancel := context.WithTimeout(t.Context(), 50*ms)
		defer cancel()
		start := time.Now()
		v := check.Ask(ctx, healthcheck.Target{Addr: netip.MustParseAddr("127.0.0.1")}, nil)
		if took := time.Since(start); took > prompt {
			t.Errorf("%s for a verdict", took)
		}
		if v.Pass != (v.Reason == "") || v.Pass && v.Detail != "" || !v.Pass && v.Detail == "" || len(v.Detail) > healthcheck.MaxDetail || !utf8.ValidString(v.Detail) {
			t.Errorf("%+v", v)
		}
		<-served
	})
}
