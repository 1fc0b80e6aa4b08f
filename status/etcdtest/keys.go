package etcdtest

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// These are for tests of packages at which etcd's types have stopped.

// Revoke ends a session, as its expiry does.
func (s *Server) Revoke(lease int64) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := s.Client().Revoke(ctx, clientv3.LeaseID(lease)); err != nil {
		s.t.Fatalf("revoking lease %x: %v", lease, err)
	}
}

// Put writes a key.
func (s *Server) Put(key, value string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := s.Client().Put(ctx, key, value); err != nil {
		s.t.Fatalf("writing %s: %v", key, err)
	}
}

// Keys returns the names of all keys under prefix.
func (s *Server) Keys(prefix string) []string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	resp, err := s.Client().Get(ctx, prefix, clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		s.t.Fatalf("reading the keys under %s: %v", prefix, err)
	}
	names := make([]string, len(resp.Kvs))
	for i, kv := range resp.Kvs {
		names[i] = string(kv.Key)
	}
	return names
}
