package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// answer is the reply to one request.
type answer struct {
	conn *net.TCPConn // The bare connection.
	in   *bufio.Reader
	out  io.Writer
	r    *http.Request
}

// give answers as the mode says. It reports whether the connection can take another request.
func (a *answer) give(m mode) bool {
	switch m.name {
	case "ok":
		return a.plain(a.status())
	case "slow":
		time.Sleep(m.duration)
		return a.plain(a.status())
	case "code":
		return a.plain(m.code)
	case "chunked":
		body := a.body()
		return a.write(head(a.status(), "Transfer-Encoding: chunked") + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body))
	case "redirect-self":
		return a.write(head(http.StatusFound, "Content-Length: 0", "Location: "+a.r.RequestURI))
	case "redirect-out":
		return a.write(head(http.StatusFound, "Content-Length: 0", "Location: "+m.url))
	}
	a.misbehave(m)
	return false
}

// misbehave gives the answers after which a connection is of no use.
func (a *answer) misbehave(m mode) {
	switch m.name {
	case "silent":
		_, _ = io.Copy(io.Discard, a.in)
	case "reset":
		_ = a.conn.SetLinger(0)
	case "garbage":
		a.write("\x00\xff\x13\x37 this is not HTTP \r\n\r\n\x00")
	case "tls-garbage":
		a.write("\x16\x03\x03\xff\xffthis is no handshake")
	case "endless-headers":
		a.repeat("HTTP/1.1 200 OK\r\n", "X-Endless: "+strings.Repeat("x", 4000)+"\r\n")
	case "endless-body":
		a.repeat(head(http.StatusOK, "Connection: close"), strings.Repeat("endless ", 4096))
	case "drip":
		a.drip(head(a.status(), "Content-Length: "+strconv.Itoa(len(a.body()))) + a.body())
	}
}

// status follows from the path: 200 on /, /health and /healthz, NNN on /NNN, else 404.
func (a *answer) status() int {
	path := strings.Trim(a.r.URL.Path, "/")
	switch path {
	case "", "health", "healthz":
		return http.StatusOK
	}
	if code, err := strconv.Atoi(path); err == nil && code >= 200 && code <= 999 {
		return code
	}
	return http.StatusNotFound
}

func (a *answer) body() string {
	return a.r.Method + " " + a.r.RequestURI + " " + a.r.Host + "\n"
}

func (a *answer) plain(code int) bool {
	body := a.body()
	text := head(code, "Content-Length: "+strconv.Itoa(len(body)))
	if a.r.Method != http.MethodHead {
		text += body
	}
	return a.write(text)
}

func head(code int, headers ...string) string {
	return fmt.Sprintf("HTTP/1.1 %d %s\r\n%s\r\n\r\n", code, http.StatusText(code), strings.Join(headers, "\r\n"))
}

func (a *answer) write(s string) bool {
	_, err := io.WriteString(a.out, s)
	return err == nil
}

// repeat writes the first text and then the other until the client has gone.
func (a *answer) repeat(first, then string) {
	for ok := a.write(first); ok; ok = a.write(then) {
	}
}

func (a *answer) drip(s string) {
	for i := range len(s) {
		if !a.write(s[i : i+1]) {
			return
		}
		time.Sleep(time.Second)
	}
}
