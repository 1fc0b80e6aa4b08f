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
	err := s.call(ctx, func(asking context.Context, c *clientv3.Client) error {
		var err error
		lease, err = c.Grant(asking, int64(ttl/time.Second))
		return err
	})
	if err != nil {
		return unlessEnded(ctx, fmt.Errorf("opening a session of %s: %w", ttl, err))
	}
	up(int64(lease.ID))
	for last := time.Now(); ctx.Err() == nil && time.Since(last) < ttl; {
		client, err := s.connected()
		if err != nil {
			return unlessEnded(ctx, err)
		}
		last = s.renew(ctx, client, lease.ID, ttl, last)
		if s.uses(client) && s.expired(ctx, lease.ID) {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(again):
		}
	}
	return unlessEnded(ctx, fmt.Errorf("%w: lease %x was not renewed within %s", ErrSessionLost, lease.ID, ttl))
}

// again is when a lease that may still live is renewed through the next member.
const again = 50 * time.Millisecond

// expired says that etcd knows a lease to be gone. The client gives one up that
// was not renewed soon after it was told of it, too.
func (s *Store) expired(ctx context.Context, id clientv3.LeaseID) bool {
	var left *clientv3.LeaseTimeToLiveResponse
	err := s.call(ctx, func(ctx context.Context, c *clientv3.Client) error {
		var err error
		left, err = c.TimeToLive(ctx, id)
		return err
	})
	return err == nil && left.TTL <= 0
}

// renew keeps a lease alive through one member, as long as that answers, and
// returns when it did last. The rest of ttl is left to the next member.
func (s *Store) renew(ctx context.Context, client *clientv3.Client, id clientv3.LeaseID, ttl time.Duration, last time.Time) time.Time {
	beats, err := client.KeepAlive(ctx, id)
	if err != nil {
		return last
	}
	late := time.NewTimer(time.Until(last.Add(2 * ttl / 3)))
	defer late.Stop()
	for {
		select {
		case _, ok := <-beats: // closed without a word when the lease is gone (FACTS), or the client
			if !ok {
				return last
			}
			last = time.Now()
			late.Reset(2 * ttl / 3)
		case <-late.C:
			s.leave(client)
		}
	}
}

// unlessEnded is err, or nil when ctx has ended.
func unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return nil
}
