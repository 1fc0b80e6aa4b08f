package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/projecteru2/eru-agent/e2e/rogue"
)

// mode is a behaviour with its argument, as in "slow=200ms".
//
//	ok               200 on /, /health and /healthz, NNN on /NNN, 404 elsewhere; "<method> <path> <host>" as body
//	chunked          the same with a chunked body
//	sick             the same, but 503 on /health and /healthz
//	slow=DURATION    the same after a time
//	NNN, code=NNN    that status on every path
//	redirect-self    302 to the same URL
//	redirect-out     302 to http://192.0.2.1/, or to redirect-out=URL
//	refuse           no listener
//	clog             a listener whose queue is full: nobody accepts, and who connects gets no answer
//	perish=CODE      the process exits in the middle of its answer
//	hang             nothing is accepted or answered on any port, control included, as after SIGSTOP, until SIGCONT or,
//	                 with hang=DURATION, for that long; the behaviour before it is then back
//	exit=CODE        the process exits
//	eat              the process takes memory without end, until the kernel kills it
//
// and those of package rogue, on the bare connection or, with TLS=1, in TLS.
type mode struct {
	name     string
	code     int
	duration time.Duration
	url      string
}

func (m mode) String() string {
	switch m.name {
	case "code", "exit", "perish":
		return m.name + "=" + strconv.Itoa(m.code)
	case "slow":
		return m.name + "=" + m.duration.String()
	}
	return m.name
}

// ofProcess says that the mode is one of the whole process, not of single ports.
func (m mode) ofProcess() bool { return m.name == "exit" || m.name == "hang" || m.name == "eat" }

func plainModes() []string {
	return append([]string{"ok", "chunked", "sick", "redirect-self", "refuse", "clog"}, rogue.Modes()...)
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
	case name == "exit", name == "perish":
		m.code, err = strconv.Atoi(argument)
	case name == "slow", name == "hang" && argument != "":
		m.duration, err = time.ParseDuration(argument)
	case s == "hang", s == "eat":
	default:
		err = fmt.Errorf("want one of %s, NNN, code=NNN, slow=DURATION, redirect-out, perish=CODE, hang, exit=CODE, eat", strings.Join(plainModes(), ", "))
	}
	if err != nil {
		return m, fmt.Errorf("parsing mode %q: %w", s, err)
	}
	return m, nil
}
