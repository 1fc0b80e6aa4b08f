package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// mode is a behaviour with its argument, as in "slow=200ms".
//
//	ok               200 on /, /health and /healthz, NNN on /NNN, 404 elsewhere; "<method> <path> <host>" as body
//	chunked          the same with a chunked body
//	slow=DURATION    the same after a time
//	NNN, code=NNN    that status on every path
//	redirect-self    302 to the same URL
//	redirect-out     302 to http://192.0.2.1/, or to redirect-out=URL
//	silent           accepts, reads and never answers
//	refuse           no listener
//	reset            RST right after the accept
//	garbage          bytes that are not HTTP
//	tls-garbage      the beginning of a TLS record that is none, on the bare connection also with TLS=1
//	endless-headers  a status line, then headers without end
//	endless-body     a correct head, then a body without end
//	drip             the answer of ok, one byte a second
//	hang             nothing is accepted or answered on any port, control included, as after SIGSTOP, until SIGCONT or,
//	                 with hang=DURATION, for that long; the behaviour before it is then back
//	exit=CODE        the process exits
//	eat              the process takes memory without end, until the kernel kills it
type mode struct {
	name     string
	code     int
	duration time.Duration
	url      string
}

func (m mode) String() string {
	switch m.name {
	case "code", "exit":
		return m.name + "=" + strconv.Itoa(m.code)
	case "slow":
		return m.name + "=" + m.duration.String()
	}
	return m.name
}

// ofProcess says that the mode is one of the whole process, not of single ports.
func (m mode) ofProcess() bool { return m.name == "exit" || m.name == "hang" || m.name == "eat" }

func plainModes() []string {
	return []string{
		"ok", "chunked", "redirect-self", "silent", "refuse", "reset", "garbage", "tls-garbage",
		"endless-headers", "endless-body", "drip",
	}
}

func parseMode(s string) (mode, error) {
	name, argument, _ := strings.Cut(s, "=")
	if _, err := strconv.Atoi(name); err == nil {
		name, argument = "code", s
	}
	m := mode{name: name}
	var err error
	switch {
	case slices.Contains(plainModes(), s):
	case name == "redirect-out":
		m.url = or(argument, "http://192.0.2.1/")
	case name == "code":
		if m.code, err = strconv.Atoi(argument); err == nil && (m.code < 100 || m.code > 999) {
			err = fmt.Errorf("status %d is not within 100 to 999", m.code)
		}
	case name == "exit":
		m.code, err = strconv.Atoi(argument)
	case name == "slow", name == "hang" && argument != "":
		m.duration, err = time.ParseDuration(argument)
	case s == "hang", s == "eat":
	default:
		err = fmt.Errorf("want one of %s, NNN, code=NNN, slow=DURATION, redirect-out, hang, exit=CODE, eat", strings.Join(plainModes(), ", "))
	}
	if err != nil {
		return m, fmt.Errorf("parsing mode %q: %w", s, err)
	}
	return m, nil
}
