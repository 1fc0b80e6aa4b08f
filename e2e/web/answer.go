package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/projecteru2/eru-agent/e2e/rogue"
)

// answer is the reply to one request.
type answer struct {
	in   *bufio.Reader
	out  io.Writer
	r    *http.Request
	host string      // of this server
	last func() bool // no other request is taken on this connection
	exit chan<- int
}

// give answers as the mode says. It reports whether the connection can take another request.
func (a *answer) give(m mode) bool {
	switch m.name {
	case "ok":
		return a.plain(a.status())
	case "sick":
		return a.plain(a.sickly())
	case "slow":
		time.Sleep(m.duration)
		return a.plain(a.status())
	case "code":
		return a.plain(m.code)
	case "chunked":
		body := a.body()
		return a.write(a.head(a.status(), "Transfer-Encoding: chunked") + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body))
	case "redirect-self":
		return a.write(head(http.StatusFound, "Content-Length: 0", "Location: "+a.r.RequestURI))
	case "redirect-out":
		return a.write(head(http.StatusFound, "Content-Length: 0", "Location: "+m.url))
	}
	if m.name == "perish" {
		a.write("HTTP/1.1 200 OK\r\nContent-Len")
		a.exit <- m.code
		_, _ = io.Copy(io.Discard, a.in) // the end of the process ends it
		return false
	}
	rogue.Answer(a.in, a.out, m.name)
	return false
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

// sickly is the status of a server that serves well and says that it does not.
func (a *answer) sickly() int {
	if strings.HasPrefix(a.r.URL.Path, "/health") {
		return http.StatusServiceUnavailable
	}
	return a.status()
}

// head says who answers, and whether that is all.
func (a *answer) head(code int, header string) string {
	headers := []string{header, servedBy + ": " + a.host}
	if a.last() {
		headers = append(headers, "Connection: close")
	}
	return head(code, headers...)
}

// servedBy is the header that names the server, by its host: in a container, that is the beginning of its ID.
const servedBy = "Served-By"

func (a *answer) body() string {
	return a.r.Method + " " + a.r.RequestURI + " " + a.r.Host + "\n"
}

func (a *answer) plain(code int) bool {
	body := a.body()
	text := a.head(code, "Content-Length: "+strconv.Itoa(len(body)))
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
