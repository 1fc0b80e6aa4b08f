package healthcheck

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Target is where a container is reached. A probe can dial its ports and
// nothing else, so no label leads to another host.
type Target struct {
	Addr netip.Addr
	// Ports says where a port is dialled that is not at Addr, for one who asks
	// from another host; nil for none. A port that is not in it is nowhere then.
	Ports map[uint16]netip.AddrPort
	// Inside is where sockets are made: the container's network namespace, nil for
	// the agent's own. The Check decides whether it is used.
	Inside *Namespace
}

// errNowhere is no evidence against the container: who described its check did
// not say where this port is.
var errNowhere = errors.New("it is not known where the port is")

// at is where port is dialled.
func (t Target) at(port uint16) netip.AddrPort {
	if t.Ports == nil {
		return netip.AddrPortFrom(t.Addr.Unmap(), port)
	}
	return t.Ports[port]
}

// Dial opens a new TCP connection to port. ctx bounds connecting, reading and
// writing: its deadline is the connection's, and when it is cancelled they end
// at once. Close sends RST and leaves no TIME_WAIT, where FIN would leave one
// for each probe.
func (t Target) Dial(ctx context.Context, port uint16) (net.Conn, error) {
	c, err := t.dial(ctx, port)
	if err != nil {
		return nil, err
	}
	if err := c.socket.alone(); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// dial is Dial, but the connection may be to itself (see alone), which costs time
// to find out.
func (t Target) dial(ctx context.Context, port uint16) (*connection, error) {
	s, err := t.open(port, lingerZero)
	if err != nil {
		return nil, err
	}
	c := s.bind(ctx)
	if err := c.establish(); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// reach opens a connection as Dial does and closes it; set prepares the socket.
func (t Target) reach(ctx context.Context, port uint16, set func(fd int) error) error {
	s, err := t.open(port, set)
	if err != nil {
		return err
	}
	if s.connected {
		return errors.Join(s.alone(), os.NewSyscallError("close", unix.Close(s.fd)))
	}
	c := s.bind(ctx)
	defer func() { _ = c.Close() }()
	if err := c.establish(); err != nil {
		return err
	}
	return s.alone()
}

// socket is a TCP socket that connects, or has.
//
// It is opened by hand: a handshake on this host is mostly over when
// connect(2) returns, although a socket that does not block never says so. Asked
// once more it does, and then nobody has to be woken. Package net waits for the
// poller each time, which makes a TCP probe nearly twice as dear (docs/adr/0005).
type socket struct {
	fd        int
	to        unix.Sockaddr
	addr      netip.AddrPort
	connected bool
	inside    bool
}

func (t Target) open(port uint16, set func(fd int) error) (*socket, error) {
	at := t.at(port)
	if t.Ports != nil && !at.IsValid() {
		return nil, errNowhere
	}
	if !at.IsValid() || at.Addr().IsUnspecified() {
		return nil, errors.New("the container has no address") // the kernel would take this host
	}
	s := &socket{addr: at, inside: t.Inside != nil}
	family := unix.AF_INET
	if a := s.addr.Addr(); a.Is4() {
		s.to = &unix.SockaddrInet4{Port: int(at.Port()), Addr: a.As4()}
	} else {
		family, s.to = unix.AF_INET6, &unix.SockaddrInet6{Port: int(at.Port()), Addr: a.As16()}
	}
	var err error
	if s.fd, err = t.socket(family); err != nil {
		return nil, err
	}
	if err = os.NewSyscallError("setsockopt", set(s.fd)); err == nil {
		err = s.connect()
	}
	if err != nil {
		_ = unix.Close(s.fd)
		return nil, err
	}
	return s, nil
}

func (t Target) socket(family int) (int, error) {
	if t.Inside != nil {
		return t.Inside.socket(family)
	}
	return newSocket(family)
}

// connect begins to connect, and looks once whether that is already done.
func (s *socket) connect() error {
	err := unix.Connect(s.fd, s.to)
	if errors.Is(err, unix.EINPROGRESS) {
		_, err = s.look()
	}
	if s.inside && errors.Is(err, unix.EADDRNOTAVAIL) { // the container's lack, not the agent's
		err = unix.EHOSTUNREACH
	}
	return os.NewSyscallError("connect", err)
}

// look asks how connecting goes on, and says whether it is over.
func (s *socket) look() (bool, error) {
	switch err := unix.Connect(s.fd, s.to); {
	case errors.Is(err, unix.EALREADY), errors.Is(err, unix.EINPROGRESS):
		return false, nil
	case err == nil, errors.Is(err, unix.EISCONN):
		s.connected = true
		return true, nil
	default:
		return true, err
	}
}

// alone says ECONNREFUSED of a socket that is connected to itself: on the loopback interface,
// which leads to each address of its own namespace, the kernel may give a socket the very port that it connects to, if nobody
// listens there.
func (s *socket) alone() error {
	if !s.inside && !s.addr.Addr().IsLoopback() {
		return nil
	}
	local, err := unix.Getsockname(s.fd)
	if err != nil {
		return err
	}
	var own netip.AddrPort
	switch a := local.(type) {
	case *unix.SockaddrInet4:
		own = netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		own = netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port))
	}
	if own == s.addr {
		return os.NewSyscallError("connect", unix.ECONNREFUSED)
	}
	return nil
}

// connection is a socket of Dial under Go's poller. A net.Conn cannot be made
// of a socket without a second one.
type connection struct {
	*os.File
	socket *socket
	stop   func() bool
}

// bind makes ctx the bound of everything that waits for the socket.
func (s *socket) bind(ctx context.Context) *connection {
	c := &connection{File: os.NewFile(uintptr(s.fd), "tcp"), socket: s}
	if deadline, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(deadline)
	}
	c.stop = context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(0, 0)) })
	return c
}

// establish waits until the socket is connected.
func (c *connection) establish() error {
	if c.socket.connected {
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	waited := raw.Write(func(uintptr) bool {
		var over bool
		over, failed = c.socket.look()
		return over
	})
	if waited != nil {
		return waited
	}
	return os.NewSyscallError("connect", failed)
}

// Close implements net.Conn; it lets go of the context.
func (c *connection) Close() error {
	c.stop()
	return c.File.Close()
}

// LocalAddr implements net.Conn. Nobody needs it.
func (c *connection) LocalAddr() net.Addr { return &net.TCPAddr{} }

// RemoteAddr implements net.Conn.
func (c *connection) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.socket.addr) }

var _ net.Conn = (*connection)(nil)

func lingerZero(fd int) error {
	return unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
}
