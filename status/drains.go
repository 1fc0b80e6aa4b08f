package status

import (
	"context"
	"fmt"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// Drains are the wishes that stand in etcd, and what stands among them and
// cannot be read.
type Drains struct {
	Wishes map[DrainKey]Drain
	Unread []Unread
}

// The shortest and the longest life that a Drain is given. etcd grants no
// shorter lease at its defaults.
const (
	MinDrain = 2 * time.Second
	MaxDrain = 365 * 24 * time.Hour
)

// PutDrain makes a wish, or replaces it. It ends by itself after lasts, which is
// rounded up to seconds, or never if that is 0. After an error it may stand
// there all the same, or come to stand there.
func (s *Store) PutDrain(ctx context.Context, k DrainKey, d Drain, lasts time.Duration) error {
	key := s.keys.drain(k)
	err := s.call(ctx, func(ctx context.Context, c *clientv3.Client) error {
		lease := clientv3.NoLease
		if lasts > 0 {
			granted, err := c.Grant(ctx, int64((lasts+time.Second-1)/time.Second))
			if err != nil {
				return err
			}
			lease = granted.ID
		}
		_, err := c.Put(ctx, key, string(d.Encode()), clientv3.WithLease(lease))
		return err
	})
	if err != nil {
		return fmt.Errorf("writing %q to etcd at %q: %w", key, s.cfg.Endpoints, err)
	}
	return nil
}

// DeleteDrain takes a wish back, and says whether there was one.
func (s *Store) DeleteDrain(ctx context.Context, k DrainKey) (bool, error) {
	key := s.keys.drain(k)
	var resp *clientv3.DeleteResponse
	err := s.call(ctx, func(ctx context.Context, c *clientv3.Client) error {
		var err error
		resp, err = c.Delete(ctx, key)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("deleting %q from etcd at %q: %w", key, s.cfg.Endpoints, err)
	}
	return resp.Deleted > 0, nil
}

// wish is a Drain and whom it is about.
type wish struct {
	key DrainKey
	Drain
}

// drains are those of one node, or of all if that is "".
func (s *Store) drains(node string) *shelf[wish] {
	prefix := s.keys.drains()
	if node != "" {
		prefix += node + "/"
	}
	return &shelf[wish]{store: s, prefix: prefix, decode: func(name string, value []byte) (wish, error) {
		k, err := parseDrain(strings.TrimPrefix(prefix+name, s.keys.drains()))
		if err != nil {
			return wish{}, err
		}
		d, err := DecodeDrain(value)
		return wish{k, d}, err
	}}
}

func told(f *shelf[wish]) Drains {
	d := Drains{Wishes: make(map[DrainKey]Drain, len(f.values)), Unread: f.refused()}
	for _, w := range f.values {
		d.Wishes[w.key] = w.Drain
	}
	return d
}

// Drains reads the wishes of all nodes once.
func (s *Store) Drains(ctx context.Context) (Drains, error) {
	f := s.drains("")
	if err := f.list(ctx); err != nil {
		return Drains{}, err
	}
	return told(f), nil
}

// FollowDrains tells the wishes of one node, or of all if that is "", at first and
// whenever they change, until ctx ends; then it returns nil. While etcd cannot be followed the last
// known stand, and so does a wish whose value has become unreadable.
func (s *Store) FollowDrains(ctx context.Context, node string, tell func(Drains)) error {
	f := s.drains(node)
	f.follow(ctx, func() { tell(told(f)) }, func(err error) {
		s.log.Warn("the drains of this node cannot be followed; the last known stand", zap.Error(err))
	})
	return nil
}
