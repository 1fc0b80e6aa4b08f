package status

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Unread is a key whose value cannot be used, and is used as little as if it
// were not there; Why is "json", "size" or "key".
type Unread struct {
	Key      string
	Revision int64
	Why      string
	Err      error
}

// unreadable is an error with the word by which it is counted.
type unreadable struct {
	why string
	error
}

func (u unreadable) Unwrap() error { return u.error }

// shelf is a part of the tree that has few keys, each value decoded. A value
// that cannot be read leaves its key as it was.
type shelf[T any] struct {
	store  *Store
	prefix string
	// decode reads what stands under name, which is the key without prefix.
	decode func(name string, value []byte) (T, error)

	values   map[string]T // by name
	unread   map[string]Unread
	written  map[string]int64 // by name, the revision of what stands there
	revision int64
}

// relistEvery is how often a shelf that is followed is held against what stands
// in etcd. A watch stays silent when etcd has gone back in time.
const relistEvery = time.Minute

// list reads the whole shelf. A read that fails leaves it as it was.
func (f *shelf[T]) list(ctx context.Context) error {
	kvs, revision, err := f.read(ctx)
	if err == nil {
		f.replace(kvs, revision)
	}
	return err
}

// read reads what stands in etcd, all of one revision.
func (f *shelf[T]) read(ctx context.Context) ([]*mvccpb.KeyValue, int64, error) {
	var kvs []*mvccpb.KeyValue
	from, revision := f.prefix, int64(0)
	for more := true; more; {
		var resp *clientv3.GetResponse
		err := f.store.call(ctx, func(ctx context.Context, c *clientv3.Client) error {
			var err error
			resp, err = c.Get(ctx, from, clientv3.WithRange(clientv3.GetPrefixRangeEnd(f.prefix)), clientv3.WithRev(revision), clientv3.WithLimit(scanPage))
			return err
		})
		if err != nil {
			return nil, 0, fmt.Errorf("reading %q from etcd at %q: %w", f.prefix, f.store.cfg.Endpoints, err)
		}
		if revision == 0 {
			revision = resp.Header.Revision // the other pages are of the same moment
		}
		kvs = append(kvs, resp.Kvs...)
		if more = resp.More; more {
			from = string(kvs[len(kvs)-1].Key) + "\x00"
		}
	}
	return kvs, revision, nil
}

// upToDate says that kvs, read at revision, are what the shelf has.
func (f *shelf[T]) upToDate(kvs []*mvccpb.KeyValue, revision int64) bool {
	return revision >= f.revision && len(kvs) == len(f.written) &&
		!slices.ContainsFunc(kvs, func(kv *mvccpb.KeyValue) bool { return f.written[f.name(kv)] != kv.ModRevision })
}

func (f *shelf[T]) replace(kvs []*mvccpb.KeyValue, revision int64) {
	was := f.values
	f.values, f.unread, f.written, f.revision = make(map[string]T, len(kvs)), map[string]Unread{}, make(map[string]int64, len(kvs)), revision
	for _, kv := range kvs {
		name := f.name(kv)
		if v, ok := was[name]; ok {
			f.values[name] = v
		}
		f.put(kv)
	}
}

func (f *shelf[T]) name(kv *mvccpb.KeyValue) string {
	return strings.TrimPrefix(string(kv.Key), f.prefix)
}

func (f *shelf[T]) put(kv *mvccpb.KeyValue) {
	name := f.name(kv)
	f.written[name] = kv.ModRevision
	v, err := f.decode(name, kv.Value)
	if err == nil {
		f.values[name] = v
		delete(f.unread, name)
		return
	}
	why := "json"
	var u unreadable
	if errors.As(err, &u) {
		why = u.why
	}
	f.unread[name] = Unread{Key: string(kv.Key), Revision: kv.ModRevision, Why: why, Err: err}
}

// follow calls tell when the shelf has been read, and again whenever it may have
// changed, until ctx ends. While etcd cannot be followed the last known stands,
// and lost is told why: once, then every minute or so. A watch that ends, as with
// the client that is replaced, and can be begun again is no loss.
func (f *shelf[T]) follow(ctx context.Context, tell func(), lost func(error)) {
	var wait backOff
	failures := 0
	for ctx.Err() == nil {
		err := f.once(ctx, func() { wait.reset(); failures = 0; tell() })
		if err == nil || ctx.Err() != nil {
			continue
		}
		if failures++; failures%60 == 2 {
			lost(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait.next()):
		}
	}
}

// once lists and watches until something goes wrong, or etcd says other than the
// watch has. A watch that has said all goes on: a thousand quiet nodes begin none.
func (f *shelf[T]) once(ctx context.Context, tell func()) error {
	if err := f.list(ctx); err != nil {
		return err
	}
	tell()
	client, err := f.store.connected()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	watch := client.Watch(ctx, f.prefix, clientv3.WithPrefix(), clientv3.WithRev(f.revision+1))
	relist := time.NewTicker(f.store.relistEvery)
	defer relist.Stop()
	for {
		select {
		case resp, ok := <-watch:
			if !ok {
				return errors.New("etcd ended the watch")
			}
			if err := f.take(resp); err != nil {
				return err
			}
			tell()
		case <-relist.C:
			kvs, revision, err := f.read(ctx)
			if err != nil || !f.upToDate(kvs, revision) {
				return err
			}
			f.revision = revision
		}
	}
}

func (f *shelf[T]) take(resp clientv3.WatchResponse) error {
	if err := resp.Err(); err != nil {
		return fmt.Errorf("watching %q: %w", f.prefix, err)
	}
	f.revision = max(f.revision, resp.Header.Revision)
	for _, ev := range resp.Events {
		if ev.Type != clientv3.EventTypeDelete {
			f.put(ev.Kv)
			continue
		}
		delete(f.values, f.name(ev.Kv))
		delete(f.unread, f.name(ev.Kv))
		delete(f.written, f.name(ev.Kv))
	}
	return nil
}

// refused is what could not be read, by key.
func (f *shelf[T]) refused() []Unread {
	list := slices.Collect(maps.Values(f.unread))
	slices.SortFunc(list, func(a, b Unread) int { return strings.Compare(a.Key, b.Key) })
	return list
}
