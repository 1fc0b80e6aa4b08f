package rogue

import (
	"crypto/tls"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"
)

// greetings are what a connection gets that nobody reads from.
func greetings() map[string]func(*net.TCPConn) {
	return map[string]func(*net.TCPConn){
		"close": func(*net.TCPConn) {},
		"reset": func(conn *net.TCPConn) { _ = conn.SetLinger(0) },
		"deaf":  deaf,
		"early": func(conn *net.TCPConn) {
			write(conn, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nearly\n")
			_, _ = io.Copy(io.Discard, conn)
		},

		"tls-garbage":      func(conn *net.TCPConn) { write(conn, "\x16\x03\x03\xff\xffthis is no handshake") },
		"tls-alerts":       func(conn *net.TCPConn) { repeat(conn, "", strings.Repeat("\x15\x03\x03\x00\x02\x01\x00", 64)) },
		"tls-slow":         tlsSlow,
		"tls-certificates": func(conn *net.TCPConn) { certify(conn, 1000) }, // more than Go's client takes
		"tls-chain":        func(conn *net.TCPConn) { certify(conn, 500) },  // as much as it takes
		"tls-names":        func(conn *net.TCPConn) { certify(conn, 1, "\x1b[31m\x00\r\n{\"evil\":1}") },
	}
}

// deaf reads nothing, and lets the client's window fill, until the client has gone.
func deaf(conn *net.TCPConn) {
	_ = conn.SetReadBuffer(1)
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	for gone := false; !gone; time.Sleep(100 * time.Millisecond) {
		err := raw.Control(func(fd uintptr) {
			code, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_ERROR)
			gone = code != 0 || err != nil
		})
		gone = gone || err != nil
	}
}

// tlsSlow begins a handshake of 16 KiB, one byte a second.
func tlsSlow(conn *net.TCPConn) {
	if !write(conn, "\x16\x03\x03\x40\x00\x02\x00\x3f\xfc\x03\x03") {
		return
	}
	for ; write(conn, "x"); time.Sleep(time.Second) {
	}
}

// certify shows the same certificate many times, and says nothing in TLS.
func certify(conn *net.TCPConn, times int, names ...string) {
	cfg, err := SelfSigned(names...)
	if err != nil {
		return
	}
	chain := &cfg.Certificates[0]
	chain.Certificate = slices.Repeat(chain.Certificate[:1], times)
	stream := tls.Server(conn, cfg)
	if stream.Handshake() == nil {
		_, _ = io.Copy(io.Discard, stream)
	}
}
