// Package rogue answers as no service should: without end, without sense, too slowly, or not at all. It owns what a
// hostile container says on one connection; who listens, and what must come of it, is for others. It uses the standard
// library only, because it runs in an image FROM scratch too.
package rogue

import (
	"io"
	"maps"
	"net"
	"slices"
	"strings"
)

// Modes are the names of all modes, in order, each of one word.
func Modes() []string {
	return slices.Sorted(func(yield func(string) bool) {
		maps.Keys(greetings())(yield)
		maps.Keys(answers())(yield)
	})
}

// Knows says whether there is such a mode: one of Modes, or "redirect=URL".
func Knows(mode string) bool {
	return strings.HasPrefix(mode, "redirect=") || slices.Contains(Modes(), mode)
}

// Greet does what a mode does to a connection instead of reading from it, TLS or not, and says whether it is a mode that
// does so. The connection is then of no more use, and the caller's to close.
func Greet(conn *net.TCPConn, mode string) bool {
	greet, ok := greetings()[mode]
	if ok {
		greet(conn)
	}
	return ok
}

// Answer does what a mode does after a request, and says whether it is a mode that does so. The connection is then of no
// more use, and the caller's to close.
func Answer(in io.Reader, out io.Writer, mode string) bool {
	if url, ok := strings.CutPrefix(mode, "redirect="); ok {
		write(out, "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: "+url+"\r\n\r\n")
		return true
	}
	answer, ok := answers()[mode]
	if ok {
		answer(in, out)
	}
	return ok
}

func write(out io.Writer, s string) bool {
	_, err := io.WriteString(out, s)
	return err == nil
}

// repeat writes the first text and then the other until the client has gone.
func repeat(out io.Writer, first, then string) {
	for ok := write(out, first); ok; ok = write(out, then) {
	}
}
