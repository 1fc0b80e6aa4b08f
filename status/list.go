package status

import (
	"context"
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Entry is one container's status as it stands in etcd.
type Entry struct {
	Key      Key
	Status   Status
	Revision int64
}

// Tree is what a reader knows: every container's status, and the nodes whose
// agent is there.
type Tree struct {
	Containers map[Key]Entry
	Nodes      map[string]Node
}

// NewTree returns a Tree of nothing.
func NewTree() Tree { return Tree{Containers: map[Key]Entry{}, Nodes: map[string]Node{}} }

// Change is one step of a Tree: exactly one exported field is set. Lost says
// that the last known stands and why.
type Change struct {
	Put      *Entry
	Deleted  *Key
	NodeUp   *Node
	NodeGone string
	// Synced says that the Tree holds all that etcd held at one revision.
	Synced bool
	Lost   error

	revision int64 // etcd's of what changed
}

// Apply brings v to where it is after c.
func (v Tree) Apply(c Change) {
	switch {
	case c.Put != nil:
		v.Containers[c.Put.Key] = *c.Put
	case c.Deleted != nil:
		delete(v.Containers, *c.Deleted)
	case c.NodeUp != nil:
		v.Nodes[c.NodeUp.Nodename] = *c.NodeUp
	case c.NodeGone != "":
		delete(v.Nodes, c.NodeGone)
	}
}

// listing is what etcd held at one revision, of a scope.
type listing struct {
	Tree
	revision int64
	keys     map[string]bool // all that are there, readable or not
	raw      map[string][]byte
	faults   []*fault
}

func newListing(revision int64) listing {
	return listing{Tree: NewTree(), revision: revision, keys: map[string]bool{}, raw: map[string][]byte{}}
}

// add takes one stored key.
func (l *listing) add(layout layout, scope Scope, kv *mvccpb.KeyValue) {
	c, found := layout.read(kv, scope)
	if found != nil {
		l.faults = append(l.faults, found)
	}
	l.Apply(c)
	l.keys[string(kv.Key)] = true
	l.raw[string(kv.Key)] = kv.Value
}

// List reads everything once.
func (s *Store) List(ctx context.Context) (Tree, error) {
	l, err := s.list(ctx, Scope{})
	f := newFaults(s.log)
	for _, found := range l.faults {
		f.note(found)
	}
	return l.Tree, err
}

// list reads a scope's containers and all nodes, at one revision.
func (s *Store) list(ctx context.Context, scope Scope) (listing, error) {
	l := newListing(0)
	for _, prefix := range s.keys.ranges(scope) {
		if err := s.listRange(ctx, prefix, scope, &l); err != nil {
			return listing{}, fmt.Errorf("reading %q from etcd at %q: %w", s.keys.tree(scope), s.cfg.Endpoints, err)
		}
	}
	return l, nil
}

func (s *Store) listRange(ctx context.Context, prefix string, scope Scope, l *listing) error {
	from, end := prefix, clientv3.GetPrefixRangeEnd(prefix)
	for {
		var resp *clientv3.GetResponse
		err := s.call(ctx, func(ctx context.Context, c *clientv3.Client) error {
			var err error
			resp, err = c.Get(ctx, from, clientv3.WithRange(end), clientv3.WithRev(l.revision), clientv3.WithLimit(scanPage))
			return err
		})
		if err != nil {
			return err
		}
		if l.revision == 0 {
			l.revision = resp.Header.Revision // the other pages are of the same moment
		}
		for _, kv := range resp.Kvs {
			l.add(s.keys, scope, kv)
			from = string(kv.Key) + "\x00"
		}
		if !resp.More {
			return nil
		}
	}
}
