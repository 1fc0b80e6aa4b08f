package status

import (
	"context"
	"encoding/json"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Canary is what a node's canary was last found to be. No proxy reads it.
type Canary struct {
	State State     `json:"state"` // healthy or unhealthy
	Seq   uint64    `json:"seq"`   // counts the flips of one agent
	At    time.Time `json:"at"`    // of the verdict
}

// SetCanary says what the canary's key shall hold while lease lives.
func (w *Writer) SetCanary(c Canary, lease int64) {
	value := mustMarshal(c)
	w.change(w.store.keys.canary(w.id.Node), true, func(e *entry) {
		if e.rev == 0 {
			e.rev = unknown // an earlier agent's may still stand there
		}
		e.step = c.Seq
		e.want(value, lease, c.At, false)
	})
}

// FollowCanary tells each value that a node's canary is given from now on, until
// ctx ends; then it returns nil. After a gap in which nothing could be heard it
// goes on where it was.
func (s *Store) FollowCanary(ctx context.Context, node string, tell func(Canary)) error {
	var wait backOff
	var next int64 // revision, 0 for what comes from now on
	for ctx.Err() == nil {
		next = s.followCanary(ctx, node, next, tell, wait.reset)
		select {
		case <-ctx.Done():
		case <-time.After(wait.next()):
		}
	}
	return nil
}

// followCanary watches from a revision until the watch ends, and returns the one
// to go on from.
func (s *Store) followCanary(ctx context.Context, node string, next int64, tell func(Canary), well func()) int64 {
	client, err := s.connected()
	if err != nil {
		return next
	}
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	for resp := range client.Watch(ctx, s.keys.canary(node), clientv3.WithRev(next), clientv3.WithFilterDelete(), clientv3.WithCreatedNotify()) {
		if resp.Err() != nil {
			return max(next, resp.CompactRevision)
		}
		well()
		if next == 0 { // it is the first word: from here on
			next = resp.Header.Revision + 1
		}
		for _, ev := range resp.Events {
			next = ev.Kv.ModRevision + 1
			var c Canary
			if json.Unmarshal(ev.Kv.Value, &c) == nil { // else it is nobody's that is waited for
				tell(c)
			}
		}
	}
	return next
}
