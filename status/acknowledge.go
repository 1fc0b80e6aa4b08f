package status

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// Acknowledge keeps a reader's record at reader/<name>, under a session of ttl,
// until ctx ends, and writes each record that comes from records, of several
// the newest; then it returns nil, and the session runs out by itself. A record
// is taken at once, whatever etcd does, and one that etcd holds already is not
// written again. etcd that is away is no error: the newest record is written when
// it is back. A name that cannot stand in a key is one.
//
// Two readers must not have the same name: each would overwrite the other.
func (s *Store) Acknowledge(ctx context.Context, name string, ttl time.Duration, records <-chan Reader) error {
	if !ValidName(name) {
		return fmt.Errorf("acknowledging as reader %.64q: want 1 to %d of [A-Za-z0-9._-]", name, MaxName)
	}
	a := &acknowledger{store: s, key: s.keys.readers() + name, leases: make(chan int64, 1), newest: make(chan Reader, 1)}
	var parts sync.WaitGroup
	parts.Go(func() { a.hold(ctx, ttl) })
	parts.Go(func() { a.write(ctx) })
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case r, ok := <-records:
			if !ok {
				records = nil
				continue
			}
			renew(a.newest, r)
		}
	}
	parts.Wait()
	return nil
}

// renew puts v into the place of what box holds. Only one goroutine may.
func renew[T any](box chan T, v T) {
	select {
	case <-box:
	default:
	}
	box <- v
}

// acknowledger keeps one reader's record.
type acknowledger struct {
	store  *Store
	key    string
	leases chan int64  // the newest session's
	newest chan Reader // that has not been taken to be written

	// Of write's goroutine alone.
	rev   int64  // ModRevision of the record as last known
	has   []byte // what stands there, nil if not known
	lease int64  // that it hangs on
}

// hold opens a session again and again, each time it is lost.
func (a *acknowledger) hold(ctx context.Context, ttl time.Duration) {
	var wait backOff
	failures := 0
	for ctx.Err() == nil {
		err := a.store.Hold(ctx, ttl, func(lease int64) {
			wait.reset()
			failures = 0
			renew(a.leases, lease)
		})
		if failures++; err != nil && failures%60 == 1 {
			a.store.log.Warn("the reader's session has to be opened anew", zap.String("key", a.key), zap.Error(err))
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait.next()):
		}
	}
}

// write brings etcd to the newest record under the newest session.
func (a *acknowledger) write(ctx context.Context) {
	var wait backOff
	failures := 0
	var lease int64
	var value []byte
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case lease = <-a.leases:
		case r := <-a.newest:
			value = r.Encode()
		case <-again:
		}
		again = nil
		if lease == 0 || value == nil || (lease == a.lease && bytes.Equal(value, a.has)) {
			continue
		}
		err := a.put(ctx, value, lease)
		if err == nil {
			wait.reset()
			failures = 0
			continue
		}
		if failures++; failures%60 == 1 && ctx.Err() == nil {
			a.store.log.Warn("etcd does not take what this reader acknowledges; the newest is kept", zap.String("key", a.key), zap.Int("failures", failures), zap.Error(err))
		}
		again = time.After(wait.next())
	}
}

// errDisturbed says that a record changed whenever it was to be written.
var errDisturbed = errors.New("another reader writes under the same name")

// put writes the record if it is still as known. So a write that timed out, or
// one of a reader that ended, changes nothing when it lands late.
func (a *acknowledger) put(ctx context.Context, value []byte, lease int64) error {
	a.has = nil // until the outcome is known
	for range 3 {
		var resp *clientv3.TxnResponse
		err := a.store.call(ctx, func(ctx context.Context, c *clientv3.Client) error {
			var err error
			resp, err = c.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(a.key), "=", a.rev)).
				Then(clientv3.OpPut(a.key, string(value), clientv3.WithLease(clientv3.LeaseID(lease)))).
				Else(clientv3.OpGet(a.key, clientv3.WithKeysOnly())).Commit()
			return err
		})
		if err != nil {
			return err
		}
		if resp.Succeeded {
			a.rev, a.has, a.lease = resp.Header.Revision, value, lease
			return nil
		}
		a.rev = 0
		for _, kv := range resp.Responses[0].GetResponseRange().Kvs {
			a.rev = kv.ModRevision
		}
	}
	return errDisturbed
}
