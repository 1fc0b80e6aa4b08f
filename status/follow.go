package status

import (
	"context"
	"errors"
	"fmt"
	"sync"
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
	// looked is etcd's revision at a moment when it was well, and ends what was
	// lost; an error makes the follower list again.
	looked(revision int64) error
	// lost says why etcd cannot be followed for now.
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
	answers := make(chan clientv3.WatchResponse)
	var watching sync.WaitGroup
	defer watching.Wait()
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	for _, prefix := range f.store.keys.ranges(f.scope) {
		watching.Go(func() {
			// The call returns once etcd has answered, so it is made here.
			forward(ctx, client.Watch(ctx, prefix, clientv3.WithPrefix(), clientv3.WithRev(now.revision+1)), answers)
		})
	}
	return f.hear(ctx, answers)
}

// forward passes on what a watch says. Its end is passed on as an answer that is
// no other's.
func forward(ctx context.Context, watch clientv3.WatchChan, to chan<- clientv3.WatchResponse) {
	for open := true; open; {
		var resp clientv3.WatchResponse
		resp, open = <-watch
		select {
		case to <- resp:
		case <-ctx.Done():
			return
		}
	}
}

// hear takes what watches say until one of them ends.
func (f *follower) hear(ctx context.Context, answers <-chan clientv3.WatchResponse) error {
	look := time.NewTicker(f.store.lookEvery)
	defer look.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case resp := <-answers:
			err = f.take(resp)
		case <-look.C:
			err = f.look(ctx, look)
		}
		if err != nil {
			return err
		}
	}
}

// take passes a watch's answer on, one revision at a time.
func (f *follower) take(resp clientv3.WatchResponse) error {
	if err := resp.Err(); err != nil {
		return fmt.Errorf("watching %q: %w", f.store.keys.tree(f.scope), err)
	}
	if resp.Header == nil {
		return errors.New("etcd ended the watch")
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

// look asks etcd for its revision. A call that fails leaves the watch alone: the
// client takes that up again where it was.
func (f *follower) look(ctx context.Context, again *time.Ticker) error {
	var resp *clientv3.GetResponse
	err := f.store.call(ctx, func(ctx context.Context, c *clientv3.Client) error {
		var err error
		resp, err = c.Get(ctx, f.store.keys.nodes(), clientv3.WithCountOnly())
		return err
	})
	again.Reset(f.store.lookEvery)
	switch {
	case err == nil:
		return f.looked(resp.Header.Revision)
	case ctx.Err() == nil:
		f.lost(fmt.Errorf("asking etcd at %q for its revision: %w", f.store.cfg.Endpoints, err))
		again.Reset(min(f.store.lookEvery, maxWait))
	}
	return nil
}

// Follow tells each change of the tree, first all that stands there, until ctx
// ends; then it returns nil. On compaction, on a lost watch, and when etcd has
// gone back in time it lists again and tells the difference. A failed or
// unexpectedly empty read removes nothing, and neither does a read of the past,
// until the agents of the nodes had two minutes to write again what was missing.
func (s *Store) Follow(ctx context.Context, tell func(Change)) error {
	f := follower{store: s, audience: &teller{reading: newReading(s.keys, Scope{}, newFaults(s.log)), tell: tell}}
	f.run(ctx)
	return nil
}

// teller is Follow's audience.
type teller struct {
	*reading
	tell func(Change)
	away bool
}

func (t *teller) tellAll(changes []Change) {
	for _, c := range changes {
		t.tell(c)
	}
}

func (t *teller) listed(l listing) {
	t.tellAll(t.reading.listed(l, time.Now()))
	t.synced()
}

func (t *teller) watched(revision int64, events []*clientv3.Event) {
	t.tellAll(t.reading.watched(revision, events))
}

func (t *teller) looked(revision int64) error {
	changes, err := t.reading.looked(revision, time.Now())
	t.tellAll(changes)
	if err == nil && t.away {
		t.synced()
	}
	return err
}

func (t *teller) synced() {
	t.away = false
	t.tell(Change{Synced: true})
}

func (t *teller) lost(err error) {
	t.away = true
	t.tell(Change{Lost: err})
}
