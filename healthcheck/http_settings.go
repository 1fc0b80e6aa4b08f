package healthcheck

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// Parse implements Prober: port, path, method, host, scheme, header.<Name>,
// codes, body, tls.skip_verify, tls.server_name.
func (p httpProber) Parse(s *Settings) ([]Probe, error) {
	h := &httpProbe{method: s.String("method", "GET"), host: s.String("host", ""), turn: p.turn, memory: p.memory}
	var err error
	if h.port, err = s.Port("port"); err != nil {
		return nil, err
	}
	for _, read := range []func(*Settings) error{h.readPath, h.readNames, h.readHeaders, h.readCodes, h.readTLS} {
		if err := read(s); err != nil {
			return nil, err
		}
	}
	if h.body, err = p.readBody(s, h.method); err != nil {
		return nil, err
	}
	if h.port == 0 { // all is read by now, so that one that is unread is misspelt
		return nil, cmp.Or(s.unread(), s.Errorf("port", "a port, because another label of the http probe is set"))
	}
	if size := len(h.method) + len(h.path) + len(h.host) + len(h.headers); size > maxRequest {
		return nil, s.Errorf("port", "a request of at most %d KiB; its labels make %d", maxRequest>>10, size>>10)
	}
	return []Probe{{Kind: kindHTTP, Name: h.name(), Port: h.port, Run: h.run}}, nil
}

func (h *httpProbe) readPath(s *Settings) error {
	h.path = s.String("path", "/")
	if !strings.HasPrefix(h.path, "/") {
		h.path = "/" + h.path
	}
	if strings.ContainsFunc(h.path, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return s.Errorf("path", "a path in ASCII without spaces; write others as %%20")
	}
	return nil
}

func (h *httpProbe) readNames(s *Settings) error {
	if !httpguts.ValidHeaderFieldName(h.method) { // a method is a token too: RFC 9110, 9.1
		return s.Errorf("method", "an HTTP method, as GET or HEAD")
	}
	if h.method == "CONNECT" {
		return s.Errorf("method", "any method but CONNECT")
	}
	if !httpguts.ValidHostHeader(h.host) {
		return s.Errorf("host", "a host name, with :port if need be")
	}
	return nil
}

func (h *httpProbe) readHeaders(s *Settings) error {
	headers := s.Group("header.")
	var b strings.Builder
	agent := userAgent
	for _, name := range sortedKeys(headers) {
		value := headers[name]
		if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return s.Errorf("header."+name, "a header of visible characters, on one line")
		}
		switch strings.ToLower(name) {
		case "host":
			return s.Errorf("header."+name, "the label eru.health.http.host for the Host header")
		case "content-length", "transfer-encoding":
			return s.Errorf("header."+name, "a header without length: the probe sends no body")
		case "user-agent":
			agent = value
			continue
		}
		b.WriteString(name + ": " + value + "\r\n")
	}
	b.WriteString("User-Agent: " + agent + "\r\n")
	switch h.method {
	case "POST", "PUT", "PATCH":
		b.WriteString("Content-Length: 0\r\n") // RFC 9110, 8.6
	}
	h.headers = b.String()
	return nil
}

func (h *httpProbe) readCodes(s *Settings) error {
	var err error
	if h.codes, err = parseCodes(s.String("codes", "200-399")); err != nil {
		return s.Errorf("codes", "%s", err)
	}
	return nil
}

func (h *httpProbe) readTLS(s *Settings) error {
	skip, err := s.Bool("tls.skip_verify")
	if err != nil {
		return err
	}
	name := s.String("tls.server_name", "")
	switch s.String("scheme", "http") {
	case "https":
		if name == "" {
			name = hostOnly(h.host)
		}
		h.tls = &tls.Config{ServerName: name, InsecureSkipVerify: skip} //nolint:gosec // the container's owner asked for it by label
		return nil
	case "http":
		for _, key := range []string{"tls.skip_verify", "tls.server_name"} {
			if s.Has(key) {
				return s.Errorf(key, "eru.health.http.scheme=https beside it")
			}
		}
		return nil
	default:
		return s.Errorf("scheme", "http or https")
	}
}

func hostOnly(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.Trim(hostport, "[]")
}

// codes are the accepted ranges of status codes.
type codes [][2]int

func (c codes) accept(code int) bool {
	for _, r := range c {
		if r[0] <= code && code <= r[1] {
			return true
		}
	}
	return false
}

func (c codes) String() string {
	words := make([]string, 0, len(c))
	for _, r := range c {
		if r[0] == r[1] {
			words = append(words, strconv.Itoa(r[0]))
			continue
		}
		words = append(words, fmt.Sprintf("%d-%d", r[0], r[1]))
	}
	return strings.Join(words, ",")
}

func parseCodes(list string) (codes, error) {
	var c codes
	for word := range strings.SplitSeq(list, ",") {
		low, high, isRange := strings.Cut(strings.TrimSpace(word), "-")
		if !isRange {
			high = low
		}
		from, err1 := strconv.ParseUint(low, 10, 16)
		to, err2 := strconv.ParseUint(high, 10, 16)
		if err1 != nil || err2 != nil || from < 100 || to > 599 || from > to {
			return nil, errors.New("codes from 100 to 599, as in 200-299,404")
		}
		c = append(c, [2]int{int(from), int(to)})
	}
	return c, nil
}
