package status

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/credentials"

	"github.com/projecteru2/eru-agent/foreign"
)

// handshake makes each connection with the files as they stand, and says in
// one line what is wrong with the certificates of either side.
type handshake struct {
	files TLS
	cause *cause
}

func (h *handshake) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls"}
}

func (h *handshake) Clone() credentials.TransportCredentials { again := *h; return &again }

// OverrideServerName is part of gRPC's interface, and nothing calls it.
func (h *handshake) OverrideServerName(string) error { return errors.ErrUnsupported }

// ServerHandshake is part of gRPC's interface, for servers.
func (h *handshake) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.ErrUnsupported
}

// ClientHandshake secures one new connection to etcd.
func (h *handshake) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c := &secured{files: h.files, cause: h.cause, server: raw.RemoteAddr().String()}
	cfg, err := c.config()
	if err != nil {
		return nil, nil, h.cause.found(fmt.Errorf("connecting to etcd at %s: %w", c.server, err))
	}
	if h.files.ServerName != "" {
		authority = h.files.ServerName
	}
	conn, info, err := credentials.NewTLS(cfg).ClientHandshake(ctx, authority, raw)
	if err != nil {
		return nil, nil, c.explain(err)
	}
	c.Conn = conn
	return c, info, nil
}

// secured is a connection on which etcd may still refuse the certificate that
// it was shown: with TLS 1.3 that comes after the handshake, in the place of
// the first answer.
type secured struct {
	net.Conn
	files  TLS
	cause  *cause
	server string

	shown atomic.Pointer[tls.Certificate] // to etcd, which asked for one
	heard atomic.Bool                     // an answer
}

// config is what the files say now.
func (c *secured) config() (*tls.Config, error) {
	authorities, err := c.files.Authorities()
	if err != nil {
		return nil, fmt.Errorf("reading etcd.tls.ca: %w", err)
	}
	own, err := c.files.Certificate()
	if err != nil {
		return nil, fmt.Errorf("reading etcd.tls.cert and etcd.tls.key: %w", err)
	}
	return &tls.Config{RootCAs: authorities, MinVersion: tls.VersionTLS12,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			c.shown.Store(own)
			return own, nil
		}}, nil
}

func (c *secured) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.heard.Store(true)
	}
	if err != nil && !c.heard.Load() {
		err = c.explain(err)
	}
	return n, err
}

func (c *secured) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if err == nil || c.heard.Load() {
		return n, err
	}
	// What etcd had to say before it hung up is still to be read.
	_ = c.SetReadDeadline(time.Now().Add(time.Second))
	if _, last := c.Conn.Read(make([]byte, 1)); isAlert(last) {
		err = last
	}
	return n, c.explain(err)
}

// explain is what failed in words of what an operator can do, if it is about
// certificates.
func (c *secured) explain(err error) error {
	text := ""
	switch own := c.shown.Load(); {
	case errors.Is(err, net.ErrClosed): // by this side
	case isAlert(err) && strings.Contains(err.Error(), "certificate"):
		text = c.files.refused(c.server, own, err)
	case c.Conn == nil:
		text = c.files.refuse(c.server, err)
	case own != nil && !isTimeout(err):
		text = c.files.abandoned(c.server, own, err)
	}
	if text == "" {
		return err
	}
	return c.cause.found(errors.New(foreign.Lines(text)))
}

// isAlert says whether the other side said in TLS what it did not like.
func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
