// Package etcdtest gives tests a real etcd: embedded (the version of go.mod) or
// the program in PATH, with TLS and authentication if wanted, and a proxy that
// breaks the way to it. What it starts ends with the test.
package etcdtest

import (
	"context"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// patience bounds every wait of this package; it is no measure of anything.
const patience = 20 * time.Second

// Option changes how a server is started.
type Option func(*options)

type options struct {
	authority *Authority
	role      *Role
	tokenTTL  time.Duration
}

// WithTLS makes the server speak TLS with a certificate of a, and take only
// clients that show one of a.
func WithTLS(a *Authority) Option { return func(o *options) { o.authority = a } }

// WithAuth turns authentication on, with a root user (Root, RootPassword) and
// the user of role.
func WithAuth(role Role) Option { return func(o *options) { o.role = &role } }

// WithTokenTTL ends authentication tokens after ttl, in whole seconds.
func WithTokenTTL(ttl time.Duration) Option { return func(o *options) { o.tokenTTL = ttl } }

// Server is one member that is a cluster of its own.
type Server struct {
	t      testing.TB
	opts   options
	member member
	place  place
	up     bool
	client *clientv3.Client
}

// member is how a server runs.
type member interface {
	start(place, options) error
	stop()
}

// place is where a server's data and ports are; it outlives a restart.
type place struct {
	dir          string
	client, peer string // host:port
	cert, key    string // with TLS
}

// Start starts an embedded server.
func Start(t testing.TB, opts ...Option) *Server {
	t.Helper()
	return start(t, &embedded{}, opts)
}

// StartProcess starts the etcd program that is in PATH; without one the test
// fails.
func StartProcess(t testing.TB, opts ...Option) *Server {
	t.Helper()
	m, err := newProcess()
	if err != nil {
		t.Fatal(err)
	}
	return start(t, m, opts)
}

func start(t testing.TB, m member, opts []Option) *Server {
	t.Helper()
	host := ownHost()
	s := &Server{t: t, member: m, place: place{dir: filepath.Join(t.TempDir(), "etcd"), client: host.String() + ":2379", peer: host.String() + ":2380"}}
	for _, o := range opts {
		o(&s.opts)
	}
	if a := s.opts.authority; a != nil {
		s.place.cert, s.place.key = a.Issue("etcd", time.Now().Add(time.Hour), host)
	}
	t.Cleanup(s.Stop)
	s.Restart()
	if s.opts.role != nil {
		s.enableAuth(*s.opts.role)
	}
	return s
}

// Endpoint returns the URL that clients dial.
func (s *Server) Endpoint() string { return s.scheme() + s.place.client }

// Address returns the host and port of Endpoint.
func (s *Server) Address() string { return s.place.client }

func (s *Server) scheme() string {
	if s.opts.authority != nil {
		return "https://"
	}
	return "http://"
}

// Client returns a client that may do everything. Stop closes it, so ask again
// after a restart.
func (s *Server) Client() *clientv3.Client {
	s.t.Helper()
	if s.client != nil {
		return s.client
	}
	cfg := clientv3.Config{Endpoints: []string{s.Endpoint()}, DialTimeout: patience, Logger: zap.NewNop()}
	if a := s.opts.authority; a != nil {
		cfg.TLS = a.Client()
	}
	if s.opts.role != nil && s.opts.role.on {
		cfg.Username, cfg.Password = Root, RootPassword
	}
	c, err := clientv3.New(cfg)
	if err != nil {
		s.t.Fatalf("connecting to %s: %v", s.Endpoint(), err)
	}
	s.client = c
	return c
}

// Stop ends the server and keeps its data.
func (s *Server) Stop() {
	if s.client != nil {
		_ = s.client.Close()
		s.client = nil
	}
	if s.up {
		s.member.stop()
		s.up = false
	}
}

// Restart starts the server on the same ports with the data it had, and stops
// it first if it runs.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop()
	if err := s.member.start(s.place, s.opts); err != nil {
		s.t.Fatalf("starting etcd: %v", err)
	}
	s.up = true
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := s.Client().Get(ctx, "ready"); err != nil {
		s.t.Fatalf("waiting for etcd at %s: %v", s.Endpoint(), err)
	}
}

// Wipe stops the server, if it runs, and deletes its data; authentication goes
// with it.
func (s *Server) Wipe() {
	s.t.Helper()
	s.Stop()
	if err := os.RemoveAll(s.place.dir); err != nil {
		s.t.Fatal(err)
	}
	s.opts.role = nil
}

// ownHost is a loopback address that no other server has. A port that was found
// free on a shared address may be taken by anybody before etcd listens on it;
// 127.128.0.0/9 is large enough to draw from.
func ownHost() net.IP {
	n := rand.Uint32()
	return net.IPv4(127, 128|byte(n>>16), byte(n>>8), byte(n)|1)
}
