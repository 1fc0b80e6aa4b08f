package chaos

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/healthcheck"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// strict are the labels of a container that must give a whole answer, and soon.
var strict = []string{rig.HTTP, "--label=eru.health.timeout=500ms", "--label=eru.health.http.codes=200", "--label=eru.health.http.body=^GET"}

// inTime is when a hostile container must be known for what it is: interval, timeout and a margin.
const inTime = (200 + 500 + 500) * time.Millisecond

// hostile is one real container that misbehaves, beside neighbours that do not.
type hostile struct {
	t   *testing.T
	row *row
	n   *rig.Node
	a   *rig.Agent
	l   *ledger
	c   *rig.Container
}

// newHostile starts the container, its neighbours and the agent.
func newHostile(t *testing.T, flags ...string) *hostile {
	t.Helper()
	t.Parallel()
	h := &hostile{t: t, row: &row{t: t}, n: r.Node(t, etcdtest.Start(t))}
	h.a = h.n.Start().AwaitReady()
	h.l = newLedger(h.row, h.n)
	crew(h.l, h.n, 2)
	h.c = h.n.Run("hostile", append(append([]string{}, strict...), flags...)...)
	h.l.begins(h.c.ID)
	h.l.settle(time.Now())
	return h
}

// fault is a row: it runs try as often as the run is long. In its end nothing may have leaked, and what was written must be
// fit to be read.
func (h *hostile) fault(name string, try func()) {
	h.t.Helper()
	h.row = newRow(h.t, ofContainers, name, "etcd 3.7, Docker")
	h.l.row = h.row // nothing is judged meanwhile but by this goroutine
	before := baseline(h.t, h.a)
	for range of(1, 2) {
		try()
	}
	h.l.nothingNew()
	h.row.flat(h.a, before)
	fitToRead(h.row, h.n, h.a)
	h.row.note("agent at most %d MB", memory(h.t, h.a).most>>20)
}

// modes lets the container behave in each mode until it is known for it, and then well.
func (h *hostile) modes(reason string, modes ...string) {
	h.t.Helper()
	for _, mode := range modes {
		h.turn(reason, func() { h.c.Behave(mode) }, func() { h.c.Behave("ok") })
	}
}

// turn makes the container hostile and good again.
func (h *hostile) turn(reason string, hostile, good func()) {
	h.t.Helper()
	h.l.is(h.c.ID, "unhealthy")
	at := time.Now()
	hostile()
	h.row.injected(1)
	h.row.rightAfter(h.l.settle(at), inTime)
	h.c.AwaitStatus("unhealthy by "+reason, func(s rig.Status) bool { return s.State == "unhealthy" && s.Reason == reason })
	h.heals(good)
}

func (h *hostile) heals(good func()) {
	h.t.Helper()
	h.l.begins(h.c.ID)
	at := time.Now()
	good()
	h.row.rightAfter(h.l.settle(at), inTime)
}

// fitToRead holds that nothing that the node has written can do harm to a reader: not in etcd, not in the log.
func fitToRead(row *row, n *rig.Node, a *rig.Agent) {
	row.t.Helper()
	n.Catch()
	for _, e := range n.Events("status/") {
		if e.Deleted() {
			continue
		}
		if s := e.Status(row.t); len(s.Detail) > healthcheck.MaxDetail || unprintable(s.Detail) || unprintable(string(e.Value)) {
			row.wrongly("revision %d is not fit to be read: %q", e.Revision, e.Value)
		}
	}
	for line := range strings.Lines(a.Err.String()) {
		if text := strings.TrimSuffix(line, "\n"); !json.Valid([]byte(text)) || unprintable(text) {
			row.wrongly("a line of the log is not fit to be read: %q", text)
		}
	}
}

func unprintable(s string) bool {
	return !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// TestHostileContainer lets a container misbehave in every way that it can over plain HTTP.
func TestHostileContainer(t *testing.T) {
	h := newHostile(t)
	h.fault("container stands still", func() {
		h.modes("timeout", "silent", "deaf", "drip", "clog", "slow=1s", "hang=1500ms")
		h.turn("timeout", func() { h.c.Docker("kill", "--signal=STOP") }, func() { h.c.Docker("kill", "--signal=CONT") })
		h.pause()
	})
	h.fault("container answers without end", func() {
		h.modes("http_protocol", "endless-headers", "endless-header", "endless-status", "endless-interim", "endless-hints", "status-line")
		h.modes("http_body", "endless-body", "endless-length", "endless-gzip", "endless-chunk", "endless-chunks", "endless-extension")
	})
	h.fault("container answers nonsense, or half", func() {
		h.modes("http_protocol", "garbage", "tls-garbage", "control", "length-negative", "length-beyond", "length-twice")
		h.modes("http_body", "chunk-beyond", "early")
		h.modes("timeout", "length-lie")
		h.modes("reset", "close", "cut", "reset")
		h.modes("connect_refused", "refuse")
	})
	elsewhere, asked := rig.Trap(t)
	h.fault("container redirects", func() { h.modes("http_code", "redirect-self", "redirect-out="+elsewhere) })
	if n := asked.Load(); n != 0 {
		h.row.wrongly("%d redirects were followed", n)
	}
	h.fault("container exits in its answer", h.perish)
}

func TestHostileTLS(t *testing.T) {
	h := newHostile(t, "--env=TLS=1", "--label=eru.health.http.scheme=https", "--label=eru.health.http.tls.skip_verify=true")
	h.fault("container misuses TLS", func() {
		h.modes("tls", "tls-garbage", "tls-alerts", "tls-certificates", "close", "reset")
		h.modes("timeout", "tls-slow", "deaf", "silent", "drip", "tls-chain") // its handshake is long and right, and then it is silent
		h.modes("http_protocol", "endless-headers", "endless-interim", "control")
	})
}

func (h *hostile) pause() {
	h.t.Helper()
	h.l.is(h.c.ID, "paused", "unhealthy") // the kernel freezes it before Docker says so
	at := time.Now()
	h.c.Docker("pause")
	h.row.injected(1)
	h.row.rightAfter(h.l.settle(at), inTime)
	h.heals(func() { h.c.Docker("unpause") })
}

// perish ends the container's process in the middle of an answer.
func (h *hostile) perish() {
	h.t.Helper()
	h.l.is(h.c.ID, "stopped", "unhealthy") // the probe may see it before the kernel says so
	at := time.Now()
	h.c.Behave("perish=3")
	h.row.injected(1)
	h.row.rightAfter(h.l.settle(at), inTime)
	h.l.begins(h.c.ID)
	h.c.Control = ""   // its address may be another
	h.c.Docker("wait") // Docker learns of the end later, and starts nothing before
	h.c.Docker("start")
	h.l.settle(time.Now())
}
