package status

import (
	"context"
	"errors"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// Presence is a change of which nodes hold a session: a node, or all of them.
type Presence struct {
	Node  string
	Up    bool             // false: its session has ended
	Lease int64            // of its session
	All   map[string]int64 // every node that holds one, and its lease; nil for one node
}

// FollowNodes tells which nodes hold a session: all at first and after every
// gap, then each change, until ctx ends; then it returns nil. Sessions that are
// renewed are no change, so a quiet fleet costs nothing.
func (s *Store) FollowNodes(ctx context.Context, tell func(Presence)) error {
	var wait backOff
	for ctx.Err() == nil {
		err := s.followNodes(ctx, tell, wait.reset)
		if ctx.Err() == nil {
			s.log.Debug("following the nodes anew", zap.Error(err))
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait.next()):
		}
	}
	return nil
}

func (s *Store) followNodes(ctx context.Context, tell func(Presence), well func()) error {
	all := map[string]int64{}
	// With values: etcd 3.7 leaves out the lease where keys alone are asked for.
	rev, err := s.pages(ctx, s.keys.nodes(), func(kv keyValue) {
		if node, ok := s.keys.parseNode(kv.Key); ok {
			all[node] = kv.Lease
		}
	})
	if err != nil {
		return err
	}
	well()
	tell(Presence{All: all})
	client, err := s.connected()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	for resp := range client.Watch(ctx, s.keys.nodes(), clientv3.WithPrefix(), clientv3.WithRev(rev+1)) {
		if err := resp.Err(); err != nil {
			return fmt.Errorf("watching the nodes: %w", err)
		}
		for _, ev := range resp.Events {
			if node, ok := s.keys.parseNode(string(ev.Kv.Key)); ok {
				tell(Presence{Node: node, Up: ev.Type != clientv3.EventTypeDelete, Lease: ev.Kv.Lease})
			}
		}
	}
	return errors.New("etcd ended the watch on the nodes")
}
