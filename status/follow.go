package status

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// lookEvery is how often a reader makes sure that etcd has not gone back in
// time. A watch does not tell: it stays silent until the old revision is
// reached again.
const lookEvery = 10 * time.Second

// follower is a reader's knowledge while it follows.
type follower struct {
	store *Store
	known Tree
	seen  int64 // the highest revision heard of
	tell  func(Change)
	well  func()
}

// Follow tells each change of the tree, first all that stands there, until ctx
// ends; then it returns nil. It lists at a revision and watches from the next
// with a required leader; on compaction, on a lost watch, and when etcd has gone
// back in time it lists again and tells the difference. A failed or unexpectedly
// empty read removes nothing, and neither does a read of the past.
func (s *Store) Follow(ctx context.Context, tell func(Change)) error {
	wait := newBackOff()
	f := &follower{store: s, known: NewTree(), tell: tell, well: wait.Reset}
	for err := f.once(ctx); ctx.Err() == nil; err = f.once(ctx) {
		tell(Change{Lost: err})
		select {
		case <-ctx.Done():
		case <-time.After(wait.NextBackOff()):
		}
	}
	return nil
}

func (f *follower) pass(c Change) {
	f.known.Apply(c)
	f.tell(c)
}

// once lists and watches until something goes wrong.
func (f *follower) once(ctx context.Context) error {
	now, err := f.store.list(ctx)
	if err != nil {
		return err
	}
	f.well()
	f.difference(now)
	f.seen = now.revision
	f.pass(Change{Synced: true})
	client, err := f.store.connected()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	watch := client.Watch(ctx, f.store.keys.everything(), clientv3.WithPrefix(), clientv3.WithRev(f.seen+1))
	look := time.NewTicker(f.store.lookEvery)
	defer look.Stop()
	for {
		select {
		case resp, ok := <-watch:
			if !ok {
				return errors.New("etcd ended the watch")
			}
			if err := f.take(resp); err != nil {
				return err
			}
		case <-look.C:
			if err := f.look(ctx); err != nil {
				return err
			}
		}
	}
}

func (f *follower) take(resp clientv3.WatchResponse) error {
	if err := resp.Err(); err != nil {
		return fmt.Errorf("watching %q: %w", f.store.keys.everything(), err)
	}
	f.seen = max(f.seen, resp.Header.Revision)
	for _, ev := range resp.Events {
		if c := f.store.readEvent(ev); c != (Change{}) {
			f.pass(c)
		}
	}
	return nil
}

// look makes sure that etcd is not younger than what it has told.
func (f *follower) look(ctx context.Context) error {
	var resp *clientv3.GetResponse
	err := f.store.call(ctx, func(ctx context.Context, c *clientv3.Client) error {
		var err error
		resp, err = c.Get(ctx, f.store.keys.everything(), clientv3.WithCountOnly())
		return err
	})
	if err == nil && resp.Header.Revision < f.seen {
		return fmt.Errorf("etcd went back in time, from revision %d to %d (restored from a backup?)", f.seen, resp.Header.Revision)
	}
	return nil // a call that failed says nothing; the watch goes on
}

func (s *Store) readEvent(ev *clientv3.Event) Change {
	if ev.Type != clientv3.EventTypeDelete {
		return s.read(ev.Kv)
	}
	key := string(ev.Kv.Key)
	if name, ok := s.keys.parseNode(key); ok {
		return Change{NodeGone: name}
	}
	if k, err := s.keys.parse(key); err == nil {
		return Change{Deleted: &k}
	}
	return Change{}
}

// difference tells what has changed between the known Tree and a new one.
func (f *follower) difference(now listing) {
	past := now.revision < f.seen
	for k, e := range now.Containers {
		was, ok := f.known.Containers[k]
		switch {
		case past && ok && e.Status.Seq < was.Status.Seq: // older than what is known
		case !ok || !reflect.DeepEqual(was, e):
			f.pass(Change{Put: &e})
		}
	}
	for name, n := range now.Nodes {
		if f.known.Nodes[name] != n {
			f.pass(Change{NodeUp: &n})
		}
	}
	f.missing(now)
}

// missing tells what is known and stands there no more. All containers gone at
// once are not believed, and neither is a store of the past, which its agents
// are about to fill again: there the watch tells what is really deleted.
func (f *follower) missing(now listing) {
	if now.revision < f.seen || len(now.Containers)+len(now.Nodes) == 0 {
		return
	}
	for k := range f.known.Containers {
		if _, ok := now.Containers[k]; !ok && len(now.Containers) > 0 && !now.unread[f.store.keys.container(k)] {
			f.pass(Change{Deleted: &k})
		}
	}
	for name := range f.known.Nodes {
		if _, ok := now.Nodes[name]; !ok && !now.unread[f.store.keys.node(name)] {
			f.pass(Change{NodeGone: name})
		}
	}
}
