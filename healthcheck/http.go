package healthcheck

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"
)

const (
	// maxHead bounds status line and headers, in bytes.
	maxHead = 64 << 10
	// maxRequest bounds what labels may make the agent send.
	maxRequest = 16 << 10
	// maxInterim bounds the 1xx answers that may come before the real one.
	maxInterim = 8

	userAgent = "eru-agent"
)

// httpProber sends one request over one new connection: no redirects are
// followed, no proxy is used, and the connection is reset once the verdict is
// known.
type httpProber struct {
	matching chan struct{} // holds one: see bodyCheck
}

// Kind implements Prober.
func (httpProber) Kind() string { return "http" }

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
}

func (h *httpProbe) run(ctx context.Context, t Target) Verdict {
	start := time.Now()
	conn, err := t.Dial(ctx, h.port)
	if err != nil {
		return FailFrom("connecting", err)
	}
	defer func() { _ = conn.Close() }()

	v := Verdict{Timings: Timings{Connect: time.Since(start)}}
	peer := conn
	if h.tls != nil {
		secure := tls.Client(conn, h.tlsFor(t.Addr))
		if err := secure.Handshake(); err != nil {
			return v.fail(handshakeFailure(err))
		}
		v.Timings.TLS = time.Since(start)
		peer = secure
	}
	return h.exchange(ctx, peer, t.Addr, start, v)
}

func (h *httpProbe) exchange(ctx context.Context, conn net.Conn, addr netip.Addr, start time.Time, v Verdict) Verdict {
	if _, err := conn.Write(h.request(addr)); err != nil {
		return v.fail(FailFrom("sending the request", err))
	}
	limit := &capped{from: conn, left: maxHead}
	r := bufio.NewReader(limit)
	if _, err := r.Peek(1); err != nil {
		return v.fail(FailFrom("waiting for the answer", err))
	}
	v.Timings.FirstByte = time.Since(start)
	answer, err := h.readHead(r) //nolint:bodyclose // closing would read on; the connection is reset
	if err != nil {
		return v.fail(headFailure(err, limit))
	}
	if !h.codes.accept(answer.StatusCode) {
		return v.fail(Fail(ReasonHTTPCode, "%d, want %s", answer.StatusCode, h.codes))
	}
	if h.body != nil {
		limit.left = maxChunked
		return h.body.judge(ctx, answer.Body, start, v)
	}
	v.Pass = true
	return v
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

// request has no "Connection: close": the server would then close first and
// keep the TIME_WAIT that our RST avoids.
func (h *httpProbe) request(addr netip.Addr) []byte {
	host := h.host
	if host == "" {
		host = netip.AddrPortFrom(addr, h.port).String()
	}
	b := make([]byte, 0, 256)
	b = append(b, h.method...)
	b = append(b, ' ')
	b = append(b, h.path...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, host...)
	b = append(b, "\r\n"...)
	b = append(b, h.headers...)
	return append(b, "\r\n"...)
}

func (h *httpProbe) tlsFor(addr netip.Addr) *tls.Config {
	if h.tls.ServerName != "" {
		return h.tls
	}
	c := h.tls.Clone()
	c.ServerName = addr.String()
	return c
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
	if reason != ReasonTimeout && reason != ReasonAgent {
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
