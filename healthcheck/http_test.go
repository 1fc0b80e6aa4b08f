package healthcheck_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/healthcheck"
)

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// chunked encodes body in chunks of size bytes.
func chunked(body string, size int) string {
	var b strings.Builder
	b.WriteString("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
	for len(body) > 0 {
		n := min(size, len(body))
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	return b.String() + "0\r\n\r\n"
}

func TestHTTPAnswers(t *testing.T) {
	const k64 = 64 << 10
	body := func(re string) labels { return labels{"eru.health.http.body": re} }
	pad := strings.Repeat(".", k64-2)
	tests := map[string]struct {
		talk    func(*container, net.Conn)
		labels  labels
		timeout time.Duration // 0: prompt
		reason  healthcheck.Reason
		detail  string
	}{
		"ok":                      {talk: saying(ok)},
		"HTTP/1.0":                {talk: sayingAndClosing("HTTP/1.0 200 OK\r\n\r\nok")},
		"204 without body":        {talk: saying("HTTP/1.1 204 No Content\r\n\r\n")},
		"399":                     {talk: saying("HTTP/1.1 399 X\r\n\r\n")},
		"400":                     {talk: saying("HTTP/1.1 400 Bad\r\n\r\n"), reason: "http_code", detail: "400, want 200-399"},
		"500":                     {talk: saying("HTTP/1.1 500 Bad\r\n\r\n"), reason: "http_code", detail: "500, want 200-399"},
		"codes":                   {talk: saying("HTTP/1.1 404 Bad\r\n\r\n"), labels: labels{"eru.health.http.codes": "200-299, 404"}},
		"not in codes":            {talk: saying("HTTP/1.1 301 Bad\r\n\r\n"), labels: labels{"eru.health.http.codes": "200-299,404"}, reason: "http_code", detail: "301, want 200-299,404"},
		"code 999":                {talk: saying("HTTP/1.1 999 Bad\r\n\r\n"), reason: "http_code", detail: "999, want 200-399"},
		"code 000":                {talk: saying("HTTP/1.1 000 Bad\r\n\r\n"), reason: "http_code", detail: "0, want 200-399"},
		"redirect elsewhere":      {talk: saying("HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\n\r\n")},
		"interim, then 200":       {talk: saying("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok)},
		"interim, then 500":       {talk: saying("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 500 Bad\r\n\r\n"), reason: "http_code", detail: "500"},
		"8 interim":               {talk: saying(strings.Repeat("HTTP/1.1 102 P\r\n\r\n", 8) + ok)},
		"9 interim":               {talk: saying(strings.Repeat("HTTP/1.1 102 P\r\n\r\n", 9) + ok), reason: "http_protocol", detail: "reading the answer: more than 8 interim answers"},
		"endless interim":         {talk: endless("", "HTTP/1.1 102 P\r\n\r\n"), reason: "http_protocol", detail: "reading the answer: more than 8 interim answers"},
		"101":                     {talk: saying("HTTP/1.1 101 Switch\r\n\r\n"), reason: "http_code", detail: "101, want 200-399"},
		"HEAD":                    {talk: saying("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n"), labels: labels{"eru.health.http.method": "HEAD"}},
		"body by length":          {talk: saying(ok), labels: body("^ok$")},
		"body by end":             {talk: sayingAndClosing("HTTP/1.1 200 OK\r\n\r\nall fine"), labels: body("fine$")},
		"body chunked":            {talk: saying(chunked("hello world", 3)), labels: body("^hello world$")},
		"body does not match":     {talk: saying(ok), labels: body("^up$"), reason: "http_body", detail: `"^up$" not found in the first 2 bytes`},
		"no body":                 {talk: saying("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), labels: body("."), reason: "http_body", detail: `"." not found in the first 0 bytes`},
		"body at the edge":        {talk: sayingAndClosing("HTTP/1.1 200 OK\r\n\r\n" + pad + "ok and more"), labels: body("ok$")},
		"body beyond the edge":    {talk: sayingAndClosing("HTTP/1.1 200 OK\r\n\r\n" + pad + "..ok"), labels: body("ok"), reason: "http_body", detail: `"ok" not found in the first 65536 bytes`},
		"edge in chunks of 1":     {talk: saying(chunked(pad+"ok and more", 1)), labels: body("ok$")},
		"body cut short":          {talk: sayingAndClosing("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"), labels: body("up"), reason: "http_body", detail: `"up" not found in the first 2 bytes`},
		"bad chunk":               {talk: saying("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), labels: body("up"), reason: "http_body", detail: `"up" not found in the first 0 bytes`},
		"body not asked for":      {talk: saying("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n")},
		"body never ends":         {talk: endless("HTTP/1.1 200 OK\r\n\r\n", strings.Repeat("x", 4096)), labels: body("^x+$")},
		"no match, never ends":    {talk: endless("HTTP/1.1 200 OK\r\n\r\n", strings.Repeat("x", 4096)), labels: body("y"), reason: "http_body", detail: `"y" not found in the first 65536 bytes`},
		"endless tiny chunks":     {talk: endless("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1;"+strings.Repeat("e", 3000)+"\r\nx\r\n"), labels: body("y"), reason: "http_body", detail: `"y" not found in the first`},
		"body stalls":             {talk: saying("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"), labels: body("up"), timeout: impatient, reason: "timeout", detail: "reading the body: no answer in time"},
		"match, then stalls":      {talk: saying("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"), labels: body("ok"), timeout: impatient, reason: "timeout", detail: "reading the body: no answer in time"},
		"head of 63 KiB":          {talk: saying("HTTP/1.1 200 OK\r\n" + strings.Repeat("A: "+strings.Repeat("b", 995)+"\r\n", 63) + "\r\n")},
		"head of 65 KiB":          {talk: saying("HTTP/1.1 200 OK\r\n" + strings.Repeat("A: "+strings.Repeat("b", 1019)+"\r\n", 65) + "\r\n"), reason: "http_protocol", detail: "status line and headers exceed 64 KiB"},
		"endless headers":         {talk: endless("HTTP/1.1 200 OK\r\n", "A: b\r\n"), reason: "http_protocol", detail: "status line and headers exceed 64 KiB"},
		"endless status line":     {talk: endless("HTTP/1.1 200 ", "OK"), reason: "http_protocol", detail: "status line and headers exceed 64 KiB"},
		"endless header line":     {talk: endless("HTTP/1.1 200 OK\r\nA: ", "b"), reason: "http_protocol", detail: "status line and headers exceed 64 KiB"},
		"one byte at a time":      {talk: slowly(ok), timeout: impatient, reason: "timeout", detail: "reading the answer: no answer in time"},
		"silent":                  {talk: silent, timeout: impatient, reason: "timeout", detail: "waiting for the answer: no answer in time"},
		"not HTTP":                {talk: saying("SSH-2.0-OpenSSH_9.6\r\n\r\n"), reason: "http_protocol", detail: `reading the answer: malformed HTTP`},
		"binary":                  {talk: saying("\x15\x03\x01\x00\x02\x02\x50\x1b[31m\n\n"), reason: "http_protocol", detail: "reading the answer: malformed HTTP response"},
		"two content lengths":     {talk: saying("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"), reason: "http_protocol", detail: "reading the answer: http: message cannot contain multiple Content-Length headers"},
		"closed without answer":   {talk: sayingAndClosing(""), reason: "reset", detail: "waiting for the answer: the connection was closed"},
		"cut in the status line":  {talk: saying("HTTP/1.1 200"), timeout: impatient, reason: "timeout", detail: "reading the answer: no answer in time"},
		"closed in the status":    {talk: sayingAndClosing("HTT"), reason: "http_protocol", detail: `reading the answer: malformed HTTP response "HTT"`},
		"reset in the head":       {talk: func(c *container, conn net.Conn) { sayingAndClosing("HTTP/1.1 20")(c, conn); reset(c, conn) }, reason: "reset", detail: "reading the answer: connection reset by peer"},
		"closed in the head":      {talk: sayingAndClosing("HTTP/1.1 200 OK\r\nA: b"), reason: "reset", detail: "reading the answer: the connection was closed"},
		"reset":                   {talk: func(c *container, conn net.Conn) { c.hear(conn); reset(c, conn) }, reason: "reset", detail: "waiting for the answer: connection reset by peer"},
		"http asked, TLS spoken":  {talk: tlsWith(nil), reason: "reset", detail: "waiting for the answer: the connection was closed"},
		"an answer before asking": {talk: func(_ *container, conn net.Conn) { saying("")(&container{}, fed{conn, ok}) }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := listen(t, "127.0.0.1", tt.talk)
			timeout := tt.timeout
			if timeout == 0 {
				timeout = prompt
			}
			expect(t, ask(t, "http", c.addr, timeout, tt.labels), tt.reason, tt.detail)
			if n := c.accepted.Load(); n != 1 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

// fed is a connection on which text was said before anything was heard.
type fed struct {
	net.Conn
	text string
}

func (f fed) Read(b []byte) (int, error) {
	_, _ = f.Write([]byte(f.text))
	return f.Conn.Read(b)
}

// tlsWith answers as a TLS server; without a config it has no certificate.
func tlsWith(config *tls.Config) func(*container, net.Conn) {
	return func(c *container, conn net.Conn) {
		if config == nil {
			config = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, net.ErrClosed }}
		}
		saying(ok)(c, tls.Server(conn, config))
	}
}

func TestHTTPRequest(t *testing.T) {
	tests := map[string]struct {
		labels labels
		want   string // %s: ip:port
	}{
		"plain":      {want: "GET / HTTP/1.1\r\nHost: %s\r\nUser-Agent: eru-agent\r\n\r\n"},
		"path":       {labels: labels{"eru.health.http.path": "/a?b=c"}, want: "GET /a?b=c HTTP/1.1\r\nHost: %s\r\nUser-Agent: eru-agent\r\n\r\n"},
		"method":     {labels: labels{"eru.health.http.method": "OPTIONS"}, want: "OPTIONS / HTTP/1.1\r\nHost: %s\r\nUser-Agent: eru-agent\r\n\r\n"},
		"POST":       {labels: labels{"eru.health.http.method": "POST"}, want: "POST / HTTP/1.1\r\nHost: %s\r\nUser-Agent: eru-agent\r\nContent-Length: 0\r\n\r\n"},
		"host":       {labels: labels{"eru.health.http.host": "a.example:80"}, want: "GET / HTTP/1.1\r\nHost: a.example:80\r\nUser-Agent: eru-agent\r\n\r\n"},
		"headers":    {labels: labels{"eru.health.http.header.X-B": "2", "eru.health.http.header.X-A": "1 , 1"}, want: "GET / HTTP/1.1\r\nHost: %s\r\nX-A: 1 , 1\r\nX-B: 2\r\nUser-Agent: eru-agent\r\n\r\n"},
		"User-Agent": {labels: labels{"eru.health.http.header.user-agent": "me"}, want: "GET / HTTP/1.1\r\nHost: %s\r\nUser-Agent: me\r\n\r\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := listen(t, "127.0.0.1", saying(ok))
			expect(t, ask(t, "http", c.addr, prompt, tt.labels), "", "")
			want := strings.Replace(tt.want, "%s", c.addr.String(), 1)
			if got := *c.request.Load(); got != want {
				t.Errorf("\ngot  %q\nwant %q", got, want)
			}
		})
	}
}

func TestHTTPOverIPv6(t *testing.T) {
	c := listen(t, "::1", saying(ok))
	expect(t, ask(t, "http", c.addr, prompt, nil), "", "")
	if got, want := *c.request.Load(), "\r\nHost: "+c.addr.String()+"\r\n"; !strings.Contains(got, want) {
		t.Errorf("%q is not in %q", want, got)
	}
}

func TestHTTPTimings(t *testing.T) {
	c := listen(t, "127.0.0.1", tlsWith(testCA.server(t, "127.0.0.1", time.Hour)))
	v := ask(t, "http", c.addr, prompt, labels{"eru.health.http.scheme": "https"})
	if tm := v.Timings; !v.Pass || tm.Connect <= 0 || tm.TLS < tm.Connect || tm.FirstByte < tm.TLS || tm.Total < tm.FirstByte {
		t.Errorf("%+v", v)
	}
}

// A hostile answer costs a bounded amount of memory, and is not read to its end.
func TestHTTPMemoryIsBounded(t *testing.T) {
	for name, talk := range map[string]func(*container, net.Conn){
		"headers": endless("HTTP/1.1 200 OK\r\n", "A: b\r\n"),
		"line":    endless("HTTP/1.1 200 OK\r\nA: ", strings.Repeat("b", 4096)),
		"body":    endless("HTTP/1.1 200 OK\r\n\r\n", strings.Repeat("x", 4096)),
		"length":  endless("HTTP/1.1 200 OK\r\nContent-Length: 9000000000000000000\r\n\r\n", strings.Repeat("x", 4096)),
		"chunk":   endless("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7ffffffffffffff0\r\n", strings.Repeat("x", 4096)),
	} {
		t.Run(name, func(t *testing.T) {
			c := listen(t, "127.0.0.1", talk)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range 10 {
				if v := ask(t, "http", c.addr, prompt, labels{"eru.health.http.body": "never"}); v.Pass || v.Reason == "timeout" {
					t.Fatalf("%+v", v)
				}
			}
			runtime.ReadMemStats(&after)
			if each := (after.TotalAlloc - before.TotalAlloc) / 10; each > 4<<20 {
				t.Errorf("%d KiB for one probe", each>>10)
			}
		})
	}
}

func TestTLS(t *testing.T) {
	const wrongCA = "TLS handshake: tls: failed to verify certificate: x509: certificate signed by unknown authority"
	good, other := testCA.server(t, "127.0.0.1", time.Hour), otherCA.server(t, "127.0.0.1", time.Hour)
	named := testCA.server(t, "web.example", time.Hour)
	tests := map[string]struct {
		talk    func(*container, net.Conn)
		labels  labels
		timeout time.Duration
		reason  healthcheck.Reason
		detail  string
	}{
		"known authority, right address": {talk: tlsWith(good)},
		"unknown authority":              {talk: tlsWith(other), reason: "tls", detail: wrongCA},
		"unknown authority, skipped":     {talk: tlsWith(other), labels: labels{"eru.health.http.tls.skip_verify": "true"}},
		"wrong name":                     {talk: tlsWith(named), reason: "tls", detail: "TLS handshake: tls: failed to verify certificate: x509: cannot validate certificate for 127.0.0.1"},
		"server_name":                    {talk: tlsWith(named), labels: labels{"eru.health.http.tls.server_name": "web.example"}},
		"host gives the name":            {talk: tlsWith(named), labels: labels{"eru.health.http.host": "web.example:443"}},
		"server_name over host":          {talk: tlsWith(named), labels: labels{"eru.health.http.host": "x", "eru.health.http.tls.server_name": "web.example"}},
		"wrong server_name":              {talk: tlsWith(named), labels: labels{"eru.health.http.tls.server_name": "a.example"}, reason: "tls", detail: "TLS handshake: tls: failed to verify certificate: x509: certificate is valid for web.example, not a.example"},
		"expired":                        {talk: tlsWith(testCA.server(t, "127.0.0.1", -time.Hour)), reason: "tls", detail: "TLS handshake: tls: failed to verify certificate: x509: certificate has expired or is not yet valid"},
		"plain HTTP":                     {talk: sayingAndClosing("HTTP/1.1 400 Bad Request\r\n\r\n"), timeout: impatient, reason: "timeout", detail: "TLS handshake: no answer in time"},
		"plain HTTP at once": {talk: func(_ *container, conn net.Conn) {
			_, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			silent(nil, conn)
		}, reason: "tls", detail: "TLS handshake: tls: first record does not look like a TLS handshake"},
		"garbage": {talk: func(_ *container, conn net.Conn) {
			_, _ = conn.Write([]byte(strings.Repeat("\x16\x03\x03\x00\x04junk", 9)))
			silent(nil, conn)
		}, reason: "tls", detail: "TLS handshake: "},
		"silent":        {talk: silent, timeout: impatient, reason: "timeout", detail: "TLS handshake: no answer in time"},
		"closed":        {talk: func(_ *container, conn net.Conn) { _, _ = conn.Read(make([]byte, 64<<10)) }, reason: "tls", detail: "TLS handshake: the connection was closed"},
		"reset":         {talk: func(c *container, conn net.Conn) { _, _ = conn.Read(make([]byte, 64<<10)); reset(c, conn) }, reason: "tls", detail: "TLS handshake: connection reset by peer"},
		"answer is bad": {talk: func(c *container, conn net.Conn) { saying("HTTP/1.1 500 Bad\r\n\r\n")(c, tls.Server(conn, good)) }, reason: "http_code", detail: "500, want 200-399"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := listen(t, "127.0.0.1", tt.talk)
			all := labels{"eru.health.http.scheme": "https"}
			for k, v := range tt.labels {
				all[k] = v
			}
			timeout := tt.timeout
			if timeout == 0 {
				timeout = prompt
			}
			expect(t, ask(t, "http", c.addr, timeout, all), tt.reason, tt.detail)
		})
	}
}

func TestTLSOverIPv6(t *testing.T) {
	c := listen(t, "::1", tlsWith(testCA.server(t, "::1", time.Hour)))
	expect(t, ask(t, "http", c.addr, prompt, labels{"eru.health.http.scheme": "https"}), "", "")
}

func TestTargetWithoutAddress(t *testing.T) {
	// Package net takes "no address" for this host, where something listens.
	c := listen(t, "127.0.0.1", saying(ok))
	for _, addr := range []netip.Addr{{}, netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		for _, kind := range []string{"http", "tcp"} {
			v := ask(t, kind, netip.AddrPortFrom(addr, c.addr.Port()), prompt, nil)
			expect(t, v, "unreachable", "connecting: the container has no address")
		}
	}
}
