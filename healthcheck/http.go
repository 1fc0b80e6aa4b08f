package healthcheck

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxHead bounds status line and headers, in bytes.
	maxHead = 64 << 10
	// maxRequest bounds what labels may make the agent send.
	maxRequest = 16 << 10
	// maxInterim bounds the 1xx answers that may come before the real one.
	maxInterim = 8

	userAgent = "eru-agent"
	kindHTTP  = "http"
)

// httpProber sends one request over one new connection: no redirects are
// followed, no proxy is used, and the connection is reset once the verdict is
// known.
type httpProber struct {
	turn   chan struct{} // holds one: what takes long to look at is looked at one by one
	memory *scratches
}

// Kind implements Prober.
func (httpProber) Kind() string { return kindHTTP }

// httpProbe is one HTTP question, ready to be sent.
type httpProbe struct {
	port    uint16
	method  string
	path    string
	host    string // "" means ip:port
	headers string // ready lines, each with its CRLF
	codes   codes
	body    *bodyCheck  // nil if any will do
	tls     *tls.Config // nil for http
	turn    chan struct{}
	memory  *scratches
}

func (h *httpProbe) run(ctx context.Context, t Target) Verdict {
	start := time.Now()
	conn, err := t.dial(ctx, h.port)
	if err != nil {
		return FailFrom("connecting", err)
	}
	defer func() { _ = conn.Close() }()
	return h.over(ctx, conn, t, start)
}

// over asks over a connection. One to itself is found out late: its own request
// is its answer, and never passes.
func (h *httpProbe) over(ctx context.Context, conn *connection, t Target, start time.Time) Verdict {
	v := h.converse(ctx, conn, t, start)
	if !v.Pass {
		if err := conn.socket.alone(); errors.Is(err, unix.ECONNREFUSED) {
			return FailFrom("connecting", err)
		}
	}
	return v
}

func (h *httpProbe) converse(ctx context.Context, conn net.Conn, t Target, start time.Time) Verdict {
	v := Verdict{Timings: Timings{Connect: time.Since(start)}}
	if h.tls == nil {
		return h.exchange(ctx, conn, t.Addr, start, v)
	}
	check := h.verification(t.Addr)
	secure := tls.Client(conn, check.config(ctx, h.tls))
	if err := secure.Handshake(); err != nil {
		return check.excuse(ctx, start, v.fail(handshakeFailure(err)))
	}
	v.Timings.TLS = time.Since(start)
	return check.excuse(ctx, start, h.exchange(ctx, secure, t.Addr, start, v))
}

func (h *httpProbe) exchange(ctx context.Context, conn net.Conn, addr netip.Addr, start time.Time, v Verdict) Verdict {
	m := h.memory.take()
	defer h.memory.give(m)
	m.out = h.request(m.out[:0], addr)
	if _, err := conn.Write(m.out); err != nil {
		return v.fail(FailFrom("sending the request", err))
	}
	v.Timings.Write = time.Since(start)
	n, err := conn.Read(m.in[:])
	if n == 0 {
		return v.fail(FailFrom("waiting for the answer", err))
	}
	v.Timings.FirstByte = time.Since(start)
	if code, ok := plainStatus(m.in[:n]); ok && h.body == nil {
		return h.judge(code, v)
	}
	return h.study(ctx, io.MultiReader(bytes.NewReader(m.in[:n]), conn), start, v)
}

// judge says what an answer's code means.
func (h *httpProbe) judge(code int, v Verdict) Verdict {
	if !h.codes.accept(code) {
		return v.fail(Fail(ReasonHTTPCode, "%d, want %s", code, h.codes))
	}
	v.Pass = true
	return v
}

// study reads an answer that is not plain, or whose body matters.
func (h *httpProbe) study(ctx context.Context, from io.Reader, start time.Time, v Verdict) Verdict {
	limit := &capped{from: from, left: maxHead}
	answer, err := h.readHead(bufio.NewReader(limit)) //nolint:bodyclose // closing would read on; the connection is reset
	if err != nil {
		return v.fail(headFailure(err, limit))
	}
	v = h.judge(answer.StatusCode, v)
	if !v.Pass || h.body == nil {
		return v
	}
	v.Pass, limit.left = false, maxChunked
	return h.body.judge(ctx, answer.Body, start, v)
}

// capped reads at most left bytes. It keeps what went wrong, because a line that
// was cut off looks whole to net/textproto.
type capped struct {
	from io.Reader
	left int
	err  error
}

func (c *capped) Read(b []byte) (int, error) {
	if c.left <= 0 {
		return 0, io.EOF
	}
	n, err := c.from.Read(b[:min(len(b), c.left)])
	c.left -= n
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = err
	}
	return n, err
}

// readHead returns the first answer that is not interim (RFC 9110, 15.2).
func (h *httpProbe) readHead(r *bufio.Reader) (*http.Response, error) {
	for range maxInterim + 1 {
		answer, err := http.ReadResponse(r, &http.Request{Method: h.method})
		if err != nil {
			return nil, err
		}
		interim := answer.StatusCode/100 == 1 && answer.StatusCode != http.StatusSwitchingProtocols
		if !interim {
			return answer, nil
		}
	}
	return nil, errors.New("more than 8 interim answers")
}

// request appends what is sent to b. It has no "Connection: close": the server would then close first and
// keep the TIME_WAIT that our RST avoids.
func (h *httpProbe) request(b []byte, addr netip.Addr) []byte {
	b = append(b, h.method...)
	b = append(b, ' ')
	b = append(b, h.path...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	if h.host != "" {
		b = append(b, h.host...)
	} else {
		b = netip.AddrPortFrom(addr, h.port).AppendTo(b)
	}
	b = append(b, "\r\n"...)
	b = append(b, h.headers...)
	return append(b, "\r\n"...)
}

func (h *httpProbe) verification(addr netip.Addr) *verification {
	name := h.tls.ServerName
	if name == "" {
		name = addr.String()
	}
	return &verification{name: name, turn: h.turn}
}

func (h *httpProbe) name() string {
	scheme := "http"
	if h.tls != nil {
		scheme = "https"
	}
	return scheme + " :" + strconv.Itoa(int(h.port)) + h.path
}

// fail keeps the timings of what went well before.
func (v Verdict) fail(f Verdict) Verdict {
	f.Timings = v.Timings
	return f
}

func handshakeFailure(err error) Verdict {
	reason := classify(err)
	switch {
	case errors.Is(err, errNoTurn):
		reason = ReasonAgent
	case reason != ReasonTimeout && reason != ReasonAgent:
		reason = ReasonTLS
	}
	return Fail(reason, "TLS handshake: %s", plain(err))
}

func headFailure(err error, from *capped) Verdict {
	switch {
	case from.left <= 0:
		return Fail(ReasonHTTPProtocol, "status line and headers exceed %d KiB", maxHead>>10)
	case from.err != nil:
		err = from.err
	}
	reason := classify(err)
	if reason == ReasonUnreachable {
		reason = ReasonHTTPProtocol
	}
	return Fail(reason, "reading the answer: %s", plain(err))
}
