package status

import (
	"context"
	"crypto/tls"
	"fmt"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// Config says how etcd is reached.
type Config struct {
	Endpoints []string
	Prefix    string // of every key, "/eru"
	Username  string // "" for no password authentication
	Password  string
	TLS       *tls.Config   // nil for plain text
	Timeout   time.Duration // of one call
}

// Store is a connection to etcd. It is opened at the first call, so a Store
// can be made while etcd is away.
type Store struct {
	cfg   Config
	keys  layout
	log   *zap.Logger
	cause cause

	lookEvery time.Duration

	mu     sync.Mutex
	client *clientv3.Client
}

// NewStore returns a Store. Close it when done.
func NewStore(cfg Config, log *zap.Logger) *Store {
	return &Store{cfg: cfg, keys: newLayout(cfg.Prefix), log: log, lookEvery: lookEvery}
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
	if s.client != nil {
		return s.client, nil
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints: s.cfg.Endpoints, Username: s.cfg.Username, Password: s.cfg.Password, TLS: s.cfg.TLS,
		DialTimeout: s.cfg.Timeout,
		// FACTS: without these a silent network made every put fail for as long as it lasted.
		DialKeepAliveTime: 10 * time.Second, DialKeepAliveTimeout: 3 * time.Second,
		// The client reports through returned errors; its own log repeats them.
		Logger:      zap.NewNop(),
		DialOptions: s.dialOptions(),
	})
	if err != nil {
		return nil, fmt.Errorf("connecting to etcd at %q: %w", s.cfg.Endpoints, s.cause.explain(err))
	}
	s.client = client
	return client, nil
}

func (s *Store) dialOptions() []grpc.DialOption {
	opts := []grpc.DialOption{
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: s.cfg.Timeout,
		}),
		grpc.WithChainUnaryInterceptor(s.cause.intercept),
	}
	if s.cfg.TLS != nil && s.cfg.TLS.ServerName != "" {
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
	s.discard(client)
	if client, err = s.connected(); err != nil {
		return err
	}
	return s.callOnce(ctx, client, do)
}

func (s *Store) callOnce(ctx context.Context, client *clientv3.Client, do func(context.Context, *clientv3.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	return s.cause.explain(do(ctx, client))
}

// discard drops a client whose token the server no longer takes.
func (s *Store) discard(client *clientv3.Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != client {
		return // another call was first
	}
	s.client = nil
	if err := client.Close(); err != nil {
		s.log.Debug("closing the connection to etcd", zap.Error(err))
	}
}
