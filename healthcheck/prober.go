package healthcheck

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Prober is one kind of probe. HTTP and TCP are built in; the owner of a
// platform compiles in another kind by passing it to cmd.Main, and containers
// ask for it with labels "eru.health.<kind>.<key>".
type Prober interface {
	// Kind is the word that stands in labels and metrics, [a-z0-9_]+.
	Kind() string
	// Parse reads the settings of one container, at least one of which is
	// set, and returns the probes that they ask for. It reads each setting
	// that it knows; one that it never asked for is an error of the label.
	// An error makes the container invalid and is shown to its owner, so it
	// says what was expected; Settings.Errorf writes it well.
	Parse(s *Settings) ([]Probe, error)
}

// Probe is one question to one port of one container.
type Probe struct {
	Kind string // the Prober's
	Name string // for people, "http :80/healthz"
	Port uint16 // the container's port, for endpoints that name none
	// Run asks once. It returns when it has a verdict or soon after ctx ends,
	// whose deadline is the timeout of the check; it may use nothing but t to
	// reach out, closes what it opens and bounds what it reads. It fills
	// Timings as far as it knows them; Probe, and Total if it is zero, are
	// filled for it.
	Run func(ctx context.Context, t Target) Verdict
}

// Target is where a container is reached. A probe can dial its ports and
// nothing else, so no label leads to another host.
type Target struct {
	Addr netip.Addr
}

// Dial opens a new TCP connection to port. ctx bounds connecting, reading and
// writing: its deadline is the connection's, and when it is cancelled they end
// at once. Close sends RST and leaves no TIME_WAIT, where FIN would leave one
// for each probe.
func (t Target) Dial(ctx context.Context, port uint16) (net.Conn, error) {
	conn, err := t.dial(ctx, port, lingerZero)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(0, 0)) })
	return &boundConn{TCPConn: conn, stop: stop}, nil
}

// boundConn lets go of its context when it is closed.
type boundConn struct {
	*net.TCPConn
	stop func() bool
}

func (c *boundConn) Close() error {
	c.stop()
	return c.TCPConn.Close()
}

func (t Target) dial(ctx context.Context, port uint16, control func(fd uintptr) error) (*net.TCPConn, error) {
	if !t.Addr.IsValid() || t.Addr.IsUnspecified() {
		return nil, errors.New("the container has no address") // package net would dial this host
	}
	d := net.Dialer{KeepAlive: -1, Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if cerr := c.Control(func(fd uintptr) { err = control(fd) }); cerr != nil {
			return cerr
		}
		return err
	}}
	return d.DialTCP(ctx, "tcp", netip.AddrPort{}, netip.AddrPortFrom(t.Addr, port))
}

func lingerZero(fd uintptr) error {
	return unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
}
