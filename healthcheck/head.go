package healthcheck

import (
	"bytes"
	"sync"
)

// scratch is what an exchange writes and reads, and gives back when it ends.
type scratch struct {
	out []byte
	in  [4 << 10]byte
}

// scratches lets exchanges that follow each other share memory; nil lets each
// have its own.
type scratches struct{ pool sync.Pool }

func (p *scratches) take() *scratch {
	if p != nil {
		if s, ok := p.pool.Get().(*scratch); ok {
			return s
		}
	}
	return &scratch{out: make([]byte, 0, 256)}
}

func (p *scratches) give(s *scratch) {
	if p != nil {
		p.pool.Put(s)
	}
}

// plainStatus reads the code of an answer whose whole head stands in b and is as
// plain as most are. It says no to everything else, right or wrong: net/http
// has to look at that. What it says yes to, net/http reads likewise (a fuzz
// test holds it).
func plainStatus(b []byte) (int, bool) {
	line, rest, ok := bytes.Cut(b, []byte("\r\n"))
	code, plain := statusLine(line)
	if !ok || !plain {
		return 0, false
	}
	for length := false; ; {
		line, rest, ok = bytes.Cut(rest, []byte("\r\n"))
		switch {
		case !ok:
			return 0, false
		case len(line) == 0:
			return code, true
		}
		name, value, colon := bytes.Cut(line, []byte(":"))
		if !colon || !plainHeader(name, value) {
			return 0, false
		}
		if bytes.EqualFold(name, []byte("Content-Length")) {
			if length {
				return 0, false
			}
			length = true
		}
	}
}

// statusLine reads "HTTP/1.1 200 OK" and says no to an interim answer.
func statusLine(b []byte) (int, bool) {
	const version = "HTTP/1."
	if len(b) < len("HTTP/1.1 200") || string(b[:len(version)]) != version || (b[7] != '0' && b[7] != '1') || b[8] != ' ' {
		return 0, false
	}
	code := 0
	for _, c := range b[9:12] {
		if c < '0' || c > '9' {
			return 0, false
		}
		code = 10*code + int(c-'0')
	}
	return code, code >= 200 && (len(b) == 12 || b[12] == ' ' && printed(b[12:]))
}

// printed says that b holds no control characters but tabs.
func printed(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// plainHeader says whether a header is well formed and changes nothing about how
// the answer is read.
func plainHeader(name, value []byte) bool {
	for _, c := range name {
		letter, digit := 'a' <= c|0x20 && c|0x20 <= 'z', '0' <= c && c <= '9'
		if !letter && !digit && c != '-' {
			return false
		}
	}
	switch {
	case len(name) == 0, !printed(value), bytes.EqualFold(name, []byte("Transfer-Encoding")), bytes.EqualFold(name, []byte("Trailer")):
		return false
	case bytes.EqualFold(name, []byte("Content-Length")):
		return isLength(bytes.Trim(value, " \t"))
	}
	return true
}

func isLength(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0 && len(b) <= 18 // fits an int64
}
