package status

import (
	"context"
	"errors"
	"fmt"
	"slices"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// ErrAlive says that a node is not to be forgotten: its agent is there.
var ErrAlive = errors.New("the node is alive")

// ErrUnknown says that nothing is known of a node.
var ErrUnknown = errors.New("no such node")

// Forget removes a node that is gone for good, with all that stands in etcd of
// it, and returns how many containers that were. It refuses a node that holds a
// session with ErrAlive, and one that nobody knows with ErrUnknown. An agent that
// comes back in the middle of it ends it with ErrStirred, and writes again what
// was removed.
func (s *Store) Forget(ctx context.Context, node string) (int, error) {
	r, err := s.examine(ctx, node)
	if err != nil {
		return 0, err
	}
	if r.Present {
		return 0, fmt.Errorf("forgetting node %q: %w: its agent holds a session; stop it first", node, ErrAlive)
	}
	n, err := s.forget(ctx, r, nil, func(ctx context.Context, conditions []clientv3.Cmp, ops []clientv3.Op) error {
		resp, err := s.txn(ctx, conditions, ops, nil)
		if err == nil && !resp.Succeeded {
			err = ErrStirred
		}
		return err
	})
	if err == nil && n == 0 && r.owner == 0 {
		err = fmt.Errorf("forgetting node %q: %w: nothing of it stands in etcd", node, ErrUnknown)
	}
	return n, err
}

// Forget is Store.Forget by the elected monitor, of a node as it was examined.
func (t *Term) Forget(ctx context.Context, r Remains) error {
	_, err := t.store.forget(ctx, r, []clientv3.Cmp{t.current()}, func(ctx context.Context, conditions []clientv3.Cmp, ops []clientv3.Op) error {
		_, err := t.attempt(ctx, conditions, ops)
		return err
	})
	return err
}

// forget removes the containers first and the owner record last, so that one
// which was cut short is seen and can be done again.
func (s *Store) forget(ctx context.Context, r Remains, more []clientv3.Cmp, commit func(context.Context, []clientv3.Cmp, []clientv3.Op) error) (int, error) {
	found, err := s.scan(ctx, []string{r.Node})
	if err != nil {
		return 0, fmt.Errorf("forgetting node %q: %w", r.Node, err)
	}
	conditions := append(slices.Clone(more), s.silent(r)...)
	keys := found[r.Node]
	size := maxOperations
	if r.projects(Traefik) {
		size = 1 // a transaction may remove one server of a service only
	}
	for part := range slices.Chunk(keys, size) {
		ops, err := s.removals(ctx, r, part)
		if err == nil {
			err = commit(ctx, conditions, ops)
		}
		if err != nil {
			return 0, fmt.Errorf("forgetting containers of node %q, %d at once: %w", r.Node, len(part), err)
		}
	}
	err = commit(ctx, conditions, []clientv3.Op{
		clientv3.OpDelete(s.keys.drainsOf(r.Node), clientv3.WithPrefix()),
		clientv3.OpDelete(s.keys.silence(r.Node)),
		clientv3.OpDelete(s.keys.owner(r.Node)),
	})
	if err != nil {
		return 0, fmt.Errorf("forgetting node %q: %w", r.Node, err)
	}
	return len(keys), nil
}

// removals remove containers, and what was projected of them.
func (s *Store) removals(ctx context.Context, r Remains, keys []Key) ([]clientv3.Op, error) {
	var ops []clientv3.Op
	for _, k := range keys {
		ops = append(ops, clientv3.OpDelete(s.keys.container(k)))
		if !r.projects(Traefik) {
			continue
		}
		server := newServer(k)
		resp, err := s.txn(ctx, nil, server.reads(), nil)
		if err != nil {
			return nil, err
		}
		server.learn(resp.Responses[0].GetResponseRange(), resp.Responses[1].GetResponseRange())
		gone, _ := server.write(true)
		ops = append(ops, gone...)
	}
	return ops, nil
}
