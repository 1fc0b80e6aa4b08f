package status

import (
	"context"
	"errors"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// lookEvery is how often a reader makes sure that etcd has not gone back in
// time. A watch does not tell: it stays silent until the old revision is
// reached again.
const lookEvery = 10 * time.Second

// audience hears what etcd says, from one goroutine.
type audience interface {
	listed(listing)
	// watched are events of one revision, of one range, or none.
	watched(revision int64, events []*clientv3.Event)
	// looked is etcd's revision at a moment when it was well; an error makes the
	// follower list again.
	looked(revision int64) error
	// lost says why nothing is heard for now.
	lost(error)
}

// follower brings what etcd says of a scope to its audience.
type follower struct {
	store *Store
	scope Scope
	audience
	wait backOff
}

// run follows until ctx ends. It lists at a revision and watches from the next
// with a required leader; whenever that ends, it lists again.
func (f *follower) run(ctx context.Context) {
	for err := f.once(ctx); ctx.Err() == nil; err = f.once(ctx) {
		f.lost(err)
		select {
		case <-ctx.Done():
		case <-time.After(f.wait.next()):
		}
	}
}

// once lists and watches until something goes wrong.
func (f *follower) once(ctx context.Context) error {
	now, err := f.store.list(ctx, f.scope)
	if err != nil {
		return err
	}
	f.wait.reset()
	f.listed(now)
	client, err := f.store.connected()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	watch := func(prefix string) clientv3.WatchChan {
		return client.Watch(ctx, prefix, clientv3.WithPrefix(), clientv3.WithRev(now.revision+1))
	}
	ranges := f.store.keys.ranges(f.scope)
	return f.hear(ctx, watch(ranges[0]), watch(ranges[1]))
}

// hear takes what two watches say until one of them ends.
func (f *follower) hear(ctx context.Context, containers, nodes clientv3.WatchChan) error {
	look := time.NewTicker(f.store.lookEvery)
	defer look.Stop()
	for {
		var err error
		select {
		case resp, ok := <-containers:
			err = f.take(resp, ok)
		case resp, ok := <-nodes:
			err = f.take(resp, ok)
		case <-look.C:
			err = f.look(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// take passes a watch's answer on, one revision at a time.
func (f *follower) take(resp clientv3.WatchResponse, ok bool) error {
	if !ok {
		return errors.New("etcd ended the watch")
	}
	if err := resp.Err(); err != nil {
		return fmt.Errorf("watching %q: %w", f.store.keys.tree(f.scope), err)
	}
	for events := resp.Events; len(events) > 0; {
		n, revision := 0, events[0].Kv.ModRevision
		for n < len(events) && events[n].Kv.ModRevision == revision {
			n++
		}
		f.watched(revision, events[:n])
		events = events[n:]
	}
	f.watched(resp.Header.Revision, nil)
	return nil
}

// look asks etcd for its revision.
func (f *follower) look(ctx context.Context) error {
	var resp *clientv3.GetResponse
	err := f.store.call(ctx, func(ctx context.Context, c *clientv3.Client) error {
		var err error
		resp, err = c.Get(ctx, f.store.keys.nodes(), clientv3.WithCountOnly())
		return err
	})
	if err != nil {
		return nil //nolint:nilerr // it says nothing; the watch goes on
	}
	return f.looked(resp.Header.Revision)
}

// Follow tells each change of the tree, first all that stands there, until ctx
// ends; then it returns nil. On compaction, on a lost watch, and when etcd has
// gone back in time it lists again and tells the difference. A failed or
// unexpectedly empty read removes nothing, and neither does a read of the past,
// until the agents of the nodes had two minutes to write again what was missing.
func (s *Store) Follow(ctx context.Context, tell func(Change)) error {
	f := follower{store: s, audience: &teller{newReading(s.keys, Scope{}, newFaults(s.log)), tell}}
	f.run(ctx)
	return nil
}

// teller is Follow's audience.
type teller struct {
	*reading
	tell func(Change)
}

func (t *teller) tellAll(changes []Change) {
	for _, c := range changes {
		t.tell(c)
	}
}

func (t *teller) listed(l listing) {
	t.tellAll(t.reading.listed(l, time.Now()))
	t.tell(Change{Synced: true})
}

func (t *teller) watched(revision int64, events []*clientv3.Event) {
	t.tellAll(t.reading.watched(revision, events))
}

func (t *teller) looked(revision int64) error {
	changes, err := t.reading.looked(revision, time.Now())
	t.tellAll(changes)
	return err
}

func (t *teller) lost(err error) { t.tell(Change{Lost: err}) }
