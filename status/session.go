package status

import (
	"context"
	"errors"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// ErrSessionLost says that etcd, or this client's own clock, ended a session.
var ErrSessionLost = errors.New("the session has ended")

// Hold opens a session of ttl (at least 2 s: etcd rounds less up), calls up with
// its lease, and keeps it alive. It returns nil when ctx ends, and the lease then
// runs out by itself; it returns an error when the session could not be opened
// or was lost.
func (s *Store) Hold(ctx context.Context, ttl time.Duration, up func(lease int64)) error {
	var lease *clientv3.LeaseGrantResponse
	var beats <-chan *clientv3.LeaseKeepAliveResponse
	err := s.call(ctx, func(asking context.Context, c *clientv3.Client) error {
		var err error
		if lease, err = c.Grant(asking, int64(ttl/time.Second)); err != nil {
			return err
		}
		beats, err = c.KeepAlive(ctx, lease.ID)
		return err
	})
	if err != nil {
		return unlessEnded(ctx, fmt.Errorf("opening a session of %s: %w", ttl, err))
	}
	up(int64(lease.ID))
	for range beats { // closed without a word when the lease is gone (FACTS)
	}
	return unlessEnded(ctx, fmt.Errorf("%w: lease %x was not renewed within %s", ErrSessionLost, lease.ID, ttl))
}

// unlessEnded is err, or nil when ctx has ended.
func unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return nil
}
