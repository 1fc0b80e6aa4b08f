package status

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// FACTS: without these a silent network made every put fail for as long as it
// lasted. gRPC takes no keepAliveTime under 10 s.
const (
	keepAliveTime    = 10 * time.Second
	keepAliveTimeout = 3 * time.Second
)

// Config says how etcd is reached.
type Config struct {
	Endpoints []string
	Prefix    string // of every key, "/eru"
	Username  string // "" for no password authentication
	// PasswordFile is read whenever a client signs in anew, so that a changed
	// password is taken without a restart. A line end after it does not count.
	PasswordFile string
	TLS          *TLS          // nil for plain text
	Timeout      time.Duration // of one call
}

// Store is a connection to etcd. It is opened at the first call, so a Store
// can be made while etcd is away.
type Store struct {
	cfg   Config
	keys  layout
	log   *zap.Logger
	cause cause
	heard heard

	lookEvery   time.Duration
	relistEvery time.Duration

	mu      sync.Mutex
	client  *clientv3.Client
	refusal refusal
	first   int       // of the endpoints, for the next client
	left    int       // members left since a call went well
	leftAt  time.Time // when the last of them was
	late    time.Time // when a call last timed out
}

// NewStore returns a Store. Close it when done.
func NewStore(cfg Config, log *zap.Logger) *Store {
	s := &Store{cfg: cfg, keys: newLayout(cfg.Prefix), log: log, lookEvery: lookEvery, relistEvery: relistEvery}
	if n := len(cfg.Endpoints); n > 1 {
		s.first = rand.IntN(n) // agents spread over the members
	}
	return s
}

// Close ends the connection. Leases that were held stay until they expire.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == nil {
		return nil
	}
	err := s.client.Close()
	s.client = nil
	return err
}

// connected returns the client, and makes it first if need be. Making one
// reaches etcd only with password authentication.
func (s *Store) connected() (*clientv3.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil && s.refusal.err == nil {
		return s.client, nil
	}
	return s.renewLocked()
}

// renewed returns a client that has signed in anew, in the place of one whose
// token or password etcd no longer takes.
func (s *Store) renewed(old *clientv3.Client) (*clientv3.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil && s.client != old {
		return s.client, nil // another call was first
	}
	return s.renewLocked()
}

// renewLocked makes a client. The one before stays while there is no other: the
// session that it holds may still be kept alive.
func (s *Store) renewLocked() (*clientv3.Client, error) {
	client, err := s.connectLocked()
	if err != nil {
		return nil, err
	}
	if s.client != nil {
		s.dropLocked()
	}
	s.client, s.refusal = client, refusal{}
	return client, nil
}

func (s *Store) connectLocked() (*clientv3.Client, error) {
	password, err := s.passwordLocked()
	if err != nil {
		return nil, err
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints: slices.Concat(s.cfg.Endpoints[s.first:], s.cfg.Endpoints[:s.first]), Username: s.cfg.Username, Password: password,
		DialTimeout:       s.cfg.Timeout,
		DialKeepAliveTime: keepAliveTime, DialKeepAliveTimeout: keepAliveTimeout,
		// The client reports through returned errors; its own log repeats them.
		Logger:      zap.NewNop(),
		DialOptions: s.dialOptions(),
	})
	if err != nil {
		s.first = (s.first + 1) % len(s.cfg.Endpoints) // another member may let us in
		err = s.cause.explain(err)
		return nil, s.refusedLocked(password, fmt.Errorf("connecting to etcd at %q: %w", s.cfg.Endpoints, err))
	}
	return client, nil
}

func (s *Store) dialOptions() []grpc.DialOption {
	opts := append(s.oneMember(),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			// The kernel asks again after 1 s and then after 3 s, which is too long once a network that was silent is back.
			MinConnectTimeout: min(s.cfg.Timeout, 2*time.Second),
		}),
		grpc.WithChainUnaryInterceptor(s.cause.intercept),
	)
	if s.cfg.TLS == nil || strings.HasPrefix(s.cfg.Endpoints[0], "http://") { // the first says it for all, as in etcdctl
		return opts
	}
	opts = append(opts, grpc.WithTransportCredentials(&handshake{files: *s.cfg.TLS, cause: &s.cause}))
	if s.cfg.TLS.ServerName != "" {
		// gRPC puts the endpoint's host into the place of ServerName, unless
		// there is an authority.
		opts = append(opts, grpc.WithAuthority(s.cfg.TLS.ServerName))
	}
	return opts
}

// call runs one request with the configured timeout.
func (s *Store) call(ctx context.Context, do func(context.Context, *clientv3.Client) error) error {
	client, err := s.connected()
	if err != nil {
		return err
	}
	err = s.callOnce(ctx, client, do)
	if !refused(err) {
		return err
	}
	if client, err = s.renewed(client); err != nil {
		return err
	}
	return s.callOnce(ctx, client, do)
}

func (s *Store) callOnce(ctx context.Context, client *clientv3.Client, do func(context.Context, *clientv3.Client) error) error {
	// A member that was cut off from the others says so, and does not hang.
	bounded, cancel := context.WithTimeout(clientv3.WithRequireLeader(ctx), s.patience())
	defer cancel()
	defer s.listening(client)()
	err := do(bounded, client)
	s.judge(ctx, client, err)
	return s.cause.explain(err)
}

func (s *Store) dropLocked() {
	if err := s.client.Close(); err != nil {
		s.log.Debug("closing the connection to etcd", zap.Error(err))
	}
	s.client = nil
}
