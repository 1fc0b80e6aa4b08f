package rogue

import (
	"io"
	"strings"
	"time"
)

// answers are given to a request that was read.
func answers() map[string]func(io.Reader, io.Writer) {
	say := func(text string) func(io.Reader, io.Writer) {
		return func(_ io.Reader, out io.Writer) { write(out, text) }
	}
	sayAndWait := func(text string) func(io.Reader, io.Writer) {
		return func(in io.Reader, out io.Writer) {
			write(out, text)
			_, _ = io.Copy(io.Discard, in)
		}
	}
	endless := func(first, then string) func(io.Reader, io.Writer) {
		return func(_ io.Reader, out io.Writer) { repeat(out, first, then) }
	}
	const (
		ok      = "HTTP/1.1 200 OK\r\n"
		chunked = ok + "Transfer-Encoding: chunked\r\n\r\n"
	)
	page := strings.Repeat("endless ", 4096)
	return map[string]func(io.Reader, io.Writer){
		"silent": sayAndWait(""),
		"drip":   drip,

		"endless-headers":   endless(ok, "X-Endless: "+strings.Repeat("x", 4000)+"\r\n"),
		"endless-header":    endless(ok+"X-Endless: ", strings.Repeat("x", 4000)),
		"endless-status":    endless("HTTP/1.1 200 O", strings.Repeat("K", 4000)),
		"endless-interim":   endless("", "HTTP/1.1 100 Continue\r\n\r\n"),
		"endless-hints":     endless("", "HTTP/1.1 103 Early Hints\r\nLink: "+strings.Repeat("x", 20<<10)+"\r\n\r\n"),
		"endless-body":      endless(ok+"Connection: close\r\n\r\n", page),
		"endless-length":    endless(ok+"Content-Length: 9223372036854775807\r\n\r\n", page),
		"endless-gzip":      endless(ok+"Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff", strings.Repeat("\x00", 4096)),
		"endless-chunk":     endless(chunked+"7fffffffffffffff\r\n", page),
		"endless-chunks":    endless(chunked, strings.Repeat("1\r\nx\r\n", 512)),
		"endless-extension": endless(chunked+"1;", strings.Repeat("x", 4000)),

		"garbage":         say("\x00\xff\x13\x37 this is not HTTP \r\n\r\n\x00"),
		"status-line":     say("HTTP/1.1 200 " + strings.Repeat("x", 1<<20) + "\r\n\r\n"),
		"control":         say(ok + "\x1b[31m\x00 a header\u202e\u0085 \x7fwithout a colon\r\n\r\n"),
		"markup":          say(ok + "<img src=x onerror=window.hacked=1>\x1b[31m\u202e\a\r\n\r\n"),
		"length-negative": say(ok + "Content-Length: -1\r\n\r\n"),
		"length-beyond":   say(ok + "Content-Length: 99999999999999999999\r\n\r\n"),
		"length-twice":    say(ok + "Content-Length: 2\r\nContent-Length: 3\r\n\r\nok"),
		"length-lie":      sayAndWait(ok + "Content-Length: 9223372036854775807\r\n\r\nok"),
		"chunk-beyond":    say(chunked + "fffffffffffffffff\r\n"),
		"cut":             say(ok + "Content-Length: 2\r\nX-Cut: of"),
	}
}

// drip is a good answer, one byte a second.
func drip(_ io.Reader, out io.Writer) {
	for _, b := range []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") {
		if _, err := out.Write([]byte{b}); err != nil {
			return
		}
		time.Sleep(time.Second)
	}
}
