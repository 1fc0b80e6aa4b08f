package status

import (
	"context"
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
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

// Change is one step of a Tree: exactly one field is set, but Lost, which says
// that the last known stands and why.
type Change struct {
	Put      *Entry
	Deleted  *Key
	NodeUp   *Node
	NodeGone string
	// Synced says that the Tree holds all that etcd held at one revision.
	Synced bool
	Lost   error
}

// listing is what etcd held at one revision.
type listing struct {
	Tree
	revision int64
	unread   map[string]bool // keys that are there and whose value cannot be read
}

// List reads everything once.
func (s *Store) List(ctx context.Context) (Tree, error) {
	l, err := s.list(ctx)
	return l.Tree, err
}

func (s *Store) list(ctx context.Context) (listing, error) {
	l := listing{Tree: NewTree(), unread: map[string]bool{}}
	from := s.keys.everything()
	end := clientv3.GetPrefixRangeEnd(from)
	for {
		var resp *clientv3.GetResponse
		err := s.call(ctx, func(ctx context.Context, c *clientv3.Client) error {
			var err error
			resp, err = c.Get(ctx, from, clientv3.WithRange(end), clientv3.WithRev(l.revision), clientv3.WithLimit(scanPage))
			return err
		})
		if err != nil {
			return listing{}, fmt.Errorf("reading %q from etcd at %q: %w", s.keys.everything(), s.cfg.Endpoints, err)
		}
		if l.revision == 0 {
			l.revision = resp.Header.Revision // the other pages are of the same moment
		}
		for _, kv := range resp.Kvs {
			c := s.read(kv)
			l.Apply(c)
			if c == (Change{}) {
				l.unread[string(kv.Key)] = true
			}
			from = string(kv.Key) + "\x00"
		}
		if !resp.More {
			return l, nil
		}
	}
}

// read turns one stored key into a Change; one that cannot be read into none,
// so that it stays as it was.
func (s *Store) read(kv *mvccpb.KeyValue) Change {
	key := string(kv.Key)
	if name, ok := s.keys.parseNode(key); ok {
		n, err := DecodeNode(kv.Value)
		if err != nil {
			s.log.Warn("passing over a node record", zap.String("key", key), zap.Error(err))
			return Change{}
		}
		n.Nodename = name
		return Change{NodeUp: &n}
	}
	k, err := s.keys.parse(key)
	if err != nil {
		return Change{}
	}
	st, err := Decode(kv.Value)
	if err != nil {
		s.log.Warn("passing over a status", zap.String("key", key), zap.Error(err))
		return Change{}
	}
	return Change{Put: &Entry{Key: k, Status: st, Revision: kv.ModRevision}}
}

// NewTree returns a Tree of nothing.
func NewTree() Tree { return Tree{Containers: map[Key]Entry{}, Nodes: map[string]Node{}} }

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
