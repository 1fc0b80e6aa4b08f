package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

const (
	// turnWithin spreads those who want to follow a monitor that is gone, so that
	// most of them see the new one before they try.
	turnWithin = 300 * time.Millisecond
	// resignWithin bounds how long an agent that stops waits for etcd to take
	// that.
	resignWithin = 500 * time.Millisecond
	// electionLook is how often those who wait make sure that etcd has not gone
	// back in time.
	electionLook = time.Minute
)

var errWatchEnded = errors.New("etcd ended the watch")

// Lead makes the holder of lease a candidate for selfmon/active. Whenever it is
// elected it runs lead, whose ctx ends once somebody else may be; when lead
// returns it resigns. Lead returns nil when ctx ends, and ErrSessionLost when it
// would be elected and the lease is gone; who holds the session knows that before.
// Everything else is tried again.
//
// All candidates watch that one key. What a monitor writes is fenced by the
// revision at which the key was made (Term), so one that does not know yet that
// its time is over changes nothing.
func (s *Store) Lead(ctx context.Context, me Monitor, lease int64, lead func(context.Context, *Term) error) error {
	var wait backOff
	for {
		t, err := s.campaign(ctx, me, lease)
		if err == nil {
			wait.reset()
			err = t.serve(ctx, lead)
		}
		if errors.Is(err, rpctypes.ErrLeaseNotFound) {
			return unlessEnded(ctx, fmt.Errorf("%w: lease %x is not known to etcd", ErrSessionLost, lease))
		}
		s.log.Debug("standing for election again", zap.Error(err))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait.next()):
		}
	}
}

// campaign returns once elected.
func (s *Store) campaign(ctx context.Context, me Monitor, lease int64) (*Term, error) {
	for {
		me.Since = time.Now().UTC()
		key := s.keys.active()
		put := clientv3.OpPut(key, string(mustMarshal(me)), clientv3.WithLease(clientv3.LeaseID(lease)))
		var resp *clientv3.TxnResponse
		err := s.call(ctx, func(ctx context.Context, c *clientv3.Client) error {
			var err error
			resp, err = c.Txn(ctx).If(absent(key)).Then(put).Else(clientv3.OpGet(key)).Commit()
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("standing for election: %w", err)
		}
		if resp.Succeeded {
			return &Term{store: s, me: me, rev: resp.Header.Revision}, nil
		}
		for _, kv := range resp.Responses[0].GetResponseRange().Kvs {
			var holder Monitor
			if json.Unmarshal(kv.Value, &holder) == nil && holder.Instance == me.Instance && kv.Lease == lease {
				return &Term{store: s, me: me, rev: kv.CreateRevision}, nil // a try that was thought lost
			}
		}
		if err := s.awaitTurn(ctx, resp.Header.Revision+1); err != nil {
			return nil, err
		}
	}
}

// awaitTurn returns when nobody has been elected for a random moment.
func (s *Store) awaitTurn(ctx context.Context, from int64) error {
	return s.followActive(ctx, from, func(gone bool, _ int64) <-chan time.Time {
		if gone {
			return time.After(rand.N(turnWithin))
		}
		return nil
	})
}

// followActive hands each change of selfmon/active to see, which returns when to
// stop following, nil for never. It returns nil then, and an error when the
// watch ends or etcd has gone back in time, which a watch does not tell.
func (s *Store) followActive(ctx context.Context, from int64, see func(gone bool, created int64) <-chan time.Time) error {
	client, err := s.connected()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	watch := client.Watch(ctx, s.keys.active(), clientv3.WithRev(from))
	look := time.NewTicker(electionLook)
	defer look.Stop()
	var stop <-chan time.Time
	for {
		select {
		case resp, ok := <-watch:
			if err := resp.Err(); !ok || err != nil {
				return fmt.Errorf("watching the election: %w", errors.Join(err, ctx.Err(), errWatchEnded))
			}
			for _, ev := range resp.Events {
				from = ev.Kv.ModRevision + 1
				stop = see(ev.Type == clientv3.EventTypeDelete, ev.Kv.CreateRevision)
			}
		case <-look.C:
			if _, rev, err := s.readActive(ctx); err == nil && rev < from-1 {
				return fmt.Errorf("watching the election: etcd went back in time, from revision %d to %d", from-1, rev)
			}
		case <-stop:
			return nil
		}
	}
}

// readActive returns the revision at which selfmon/active was made, 0 if it is
// not there, and the store's.
func (s *Store) readActive(ctx context.Context) (int64, int64, error) {
	var resp *clientv3.GetResponse
	err := s.call(ctx, func(ctx context.Context, c *clientv3.Client) error {
		var err error
		resp, err = c.Get(ctx, s.keys.active(), clientv3.WithKeysOnly())
		return err
	})
	if err != nil {
		return 0, 0, fmt.Errorf("reading who is elected: %w", err)
	}
	if len(resp.Kvs) == 0 {
		return 0, resp.Header.Revision, nil
	}
	return resp.Kvs[0].CreateRevision, resp.Header.Revision, nil
}

// serve runs lead until the term is over, and resigns.
func (t *Term) serve(ctx context.Context, lead func(context.Context, *Term) error) error {
	serving, cancel := context.WithCancel(ctx)
	over := make(chan struct{})
	go func() {
		defer close(over)
		defer cancel()
		t.awaitEnd(serving)
	}()
	err := lead(serving, t)
	cancel()
	<-over
	t.resign(ctx)
	return err
}

// awaitEnd returns when the key is seen to be somebody else's or nobody's, or
// when ctx ends. That etcd cannot be asked says nothing: the session tells.
func (t *Term) awaitEnd(ctx context.Context) {
	var wait backOff
	for from := t.rev + 1; ctx.Err() == nil; {
		err := t.store.followActive(ctx, from, func(gone bool, created int64) <-chan time.Time {
			if gone || created != t.rev {
				return time.After(0)
			}
			return nil
		})
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait.next()):
		}
		created, rev, err := t.store.readActive(ctx)
		switch {
		case err != nil:
		case created != t.rev:
			return
		default:
			from = rev + 1
		}
	}
}

// resign lets another one follow at once, which would otherwise wait until the
// lease has run out.
func (t *Term) resign(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), resignWithin)
	defer cancel()
	key := t.store.keys.active()
	err := t.store.call(ctx, func(ctx context.Context, c *clientv3.Client) error {
		_, err := c.Txn(ctx).If(t.current()).Then(clientv3.OpDelete(key)).Commit()
		return err
	})
	if err != nil {
		t.store.log.Debug("resigning", zap.Error(err))
	}
}

func absent(key string) clientv3.Cmp { return clientv3.Compare(clientv3.CreateRevision(key), "=", 0) }
