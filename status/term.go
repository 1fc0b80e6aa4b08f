package status

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// ErrOver says that somebody else is, or may be, the elected monitor.
var ErrOver = errors.New("this monitor is not the elected one any more")

// ErrStirred says that what was read of a silent node is not so any more: its
// agent is back, or gave another sign of life. Nothing was written.
var ErrStirred = errors.New("the node is not silent any more, or not as it was")

// Term is one agent's time as the elected monitor. Each of its writes holds only
// while it lasts: it compares the revision at which selfmon/active was made.
type Term struct {
	store *Store
	me    Monitor
	rev   int64
}

func (t *Term) current() clientv3.Cmp {
	return clientv3.Compare(clientv3.CreateRevision(t.store.keys.active()), "=", t.rev)
}

// Owners names the nodes of which anybody has ever been the agent.
func (t *Term) Owners(ctx context.Context) ([]string, error) {
	var names []string
	_, err := t.store.pages(ctx, t.store.keys.owners(), func(kv keyValue) {
		names = append(names, kv.Key[len(t.store.keys.owners()):])
	}, clientv3.WithKeysOnly())
	return slices.DeleteFunc(names, func(n string) bool { return !ValidName(n) }), err
}

// Silences returns what monitors have noted of silent nodes, and of nodes that
// were.
func (t *Term) Silences(ctx context.Context) (map[string]Silence, error) {
	return t.store.silences(ctx)
}

func (s *Store) silences(ctx context.Context) (map[string]Silence, error) {
	all := map[string]Silence{}
	_, err := s.pages(ctx, s.keys.silences(), func(kv keyValue) {
		var noted Silence
		if s.readJSON(kv, &noted) {
			all[kv.Key[len(s.keys.silences()):]] = noted
		}
	})
	return all, err
}

// Note writes what is known of silent nodes; nil deletes. It harms no node that
// is back: a note says nothing while a node's key is there.
func (t *Term) Note(ctx context.Context, notes map[string]*Silence) error {
	for names := range slices.Chunk(slices.Sorted(maps.Keys(notes)), maxOperations) {
		var ops []clientv3.Op
		for _, node := range names {
			key := t.store.keys.silence(node)
			if note := notes[node]; note != nil {
				ops = append(ops, clientv3.OpPut(key, string(mustMarshal(note))))
			} else {
				ops = append(ops, clientv3.OpDelete(key))
			}
		}
		resp, err := t.store.txn(ctx, []clientv3.Cmp{t.current()}, ops, nil)
		if err == nil && !resp.Succeeded {
			err = ErrOver
		}
		if err != nil {
			return fmt.Errorf("noting the silence of nodes, %d at once: %w", len(names), err)
		}
	}
	return nil
}

// Left is how long a session lasts if it is not renewed, in whole seconds, and
// how long it was made for; 0 for one that is gone.
func (t *Term) Left(ctx context.Context, lease int64) (time.Duration, time.Duration, error) {
	var left *clientv3.LeaseTimeToLiveResponse
	err := t.store.call(ctx, func(ctx context.Context, c *clientv3.Client) error {
		var err error
		left, err = c.TimeToLive(ctx, clientv3.LeaseID(lease))
		return err
	})
	if err != nil {
		return 0, 0, fmt.Errorf("asking for the rest of a session: %w", err)
	}
	return max(0, time.Duration(left.TTL)*time.Second), time.Duration(left.GrantedTTL) * time.Second, nil
}

// keyValue is one stored key.
type keyValue struct {
	Key   string
	Value []byte
	Rev   int64
	Lease int64
}

// pages reads all keys under prefix, in pages, of one moment.
// It returns the revision of that.
func (s *Store) pages(ctx context.Context, prefix string, each func(keyValue), opts ...clientv3.OpOption) (int64, error) {
	from, end, rev := prefix, clientv3.GetPrefixRangeEnd(prefix), int64(0)
	for {
		all := append([]clientv3.OpOption{clientv3.WithRange(end), clientv3.WithRev(rev), clientv3.WithLimit(scanPage)}, opts...)
		var resp *clientv3.GetResponse
		err := s.call(ctx, func(ctx context.Context, c *clientv3.Client) error {
			var err error
			resp, err = c.Get(ctx, from, all...)
			return err
		})
		if err != nil {
			return 0, fmt.Errorf("reading %q: %w", prefix, err)
		}
		if rev == 0 {
			rev = resp.Header.Revision // the other pages are of the same moment
		}
		for _, kv := range resp.Kvs {
			each(keyValue{Key: string(kv.Key), Value: kv.Value, Rev: kv.ModRevision, Lease: kv.Lease})
		}
		if !resp.More {
			return rev, nil
		}
		from = string(resp.Kvs[len(resp.Kvs)-1].Key) + "\x00"
	}
}

func (s *Store) txn(ctx context.Context, conditions []clientv3.Cmp, then, otherwise []clientv3.Op) (*clientv3.TxnResponse, error) {
	var resp *clientv3.TxnResponse
	err := s.call(ctx, func(ctx context.Context, c *clientv3.Client) error {
		var err error
		resp, err = c.Txn(ctx).If(conditions...).Then(then...).Else(otherwise...).Commit()
		return err
	})
	return resp, err
}
