package status

import (
	"context"
	"fmt"
	"slices"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Remains are what etcd holds of a node, as they were read. A monitor's write
// compares them.
type Remains struct {
	Node     string
	Owner    Owner // zero: nobody has ever been its agent, or it was forgotten
	Present  bool  // its key is there: it is not silent
	Statuses []Entry

	owner int64 // ModRevision of the owner record
}

// Known says whether there is anything that a monitor may act on.
func (r Remains) Known() bool { return r.Owner.Instance != "" }

// Examine reads who was last the agent of a node, and whether that is there. It
// is one small read.
func (t *Term) Examine(ctx context.Context, node string) (Remains, error) {
	return t.store.examine(ctx, node)
}

func (s *Store) examine(ctx context.Context, node string) (Remains, error) {
	r := Remains{Node: node}
	resp, err := s.txn(ctx, nil, []clientv3.Op{clientv3.OpGet(s.keys.owner(node)), clientv3.OpGet(s.keys.node(node), clientv3.WithKeysOnly())}, nil)
	if err != nil {
		return r, fmt.Errorf("reading what is known of node %q: %w", node, err)
	}
	for _, kv := range resp.Responses[0].GetResponseRange().Kvs {
		r.owner = kv.ModRevision
		if !s.readJSON(keyValue{Key: string(kv.Key), Value: kv.Value}, &r.Owner) {
			r.Owner = Owner{}
		}
	}
	r.Present = len(resp.Responses[1].GetResponseRange().Kvs) > 0
	return r, nil
}

// Read fills in the statuses of a node that was examined, with those of keys
// that Scan found. A value that cannot be read is left out, and so left as it
// is.
func (t *Term) Read(ctx context.Context, r Remains, keys []Key) (Remains, error) {
	unread := newFaults(t.store.log)
	for part := range slices.Chunk(keys, maxOperations) {
		ops := make([]clientv3.Op, len(part))
		for i, k := range part {
			ops[i] = clientv3.OpGet(t.store.keys.container(k))
		}
		resp, err := t.store.txn(ctx, nil, ops, nil)
		if err != nil {
			return r, fmt.Errorf("reading the statuses of node %q: %w", r.Node, err)
		}
		for _, one := range resp.Responses {
			for _, kv := range one.GetResponseRange().Kvs {
				c, wrong := t.store.keys.read(kv, Scope{})
				unread.note(wrong)
				if c.Put != nil {
					r.Statuses = append(r.Statuses, *c.Put)
				}
			}
		}
	}
	return r, nil
}

// Scan finds the keys of some nodes' containers, which are not neighbours in the
// tree: it reads all keys, without values.
func (t *Term) Scan(ctx context.Context, nodes []string) (map[string][]Key, error) {
	return t.store.scan(ctx, nodes)
}

func (s *Store) scan(ctx context.Context, nodes []string) (map[string][]Key, error) {
	found := make(map[string][]Key, len(nodes))
	for _, node := range nodes {
		found[node] = nil
	}
	_, err := s.pages(ctx, s.keys.statuses(), func(kv keyValue) {
		if _, wanted := found[nodeIn(kv.Key)]; !wanted {
			return
		}
		if k, err := s.keys.parse(kv.Key); err == nil {
			found[k.Node] = append(found[k.Node], k)
		}
	}, clientv3.WithKeysOnly(), clientv3.WithLimit(keysPage))
	return found, err
}

// Rewrite writes statuses of a silent node, in transactions that hold only while
// the term lasts, the node's key is absent, its owner record is as it was
// examined, and each status as it was read. ErrOver and ErrStirred say which did
// not hold; of any other error the outcome is not known, and the node is to be
// examined again. What was written has its new revision then.
func (t *Term) Rewrite(ctx context.Context, r Remains, entries []Entry) error {
	for part := range slices.Chunk(entries, maxOperations/2) { // each may have a weight beside it
		conditions := append([]clientv3.Cmp{t.current()}, t.store.silent(r)...)
		var ops []clientv3.Op
		for _, e := range part {
			key := t.store.keys.container(e.Key)
			conditions = append(conditions, clientv3.Compare(clientv3.ModRevision(key), "=", e.Revision))
			ops = append(ops, clientv3.OpPut(key, r.encode(e.Status)))
			if r.projects(Traefik) {
				ops = append(ops, newServer(e.Key).weigh(e.Status))
			}
		}
		rev, err := t.attempt(ctx, conditions, ops)
		if err != nil {
			return fmt.Errorf("writing %d statuses of node %q: %w", len(part), r.Node, err)
		}
		for i := range part {
			part[i].Revision = rev
		}
	}
	return nil
}

// projects says whether the node's agent wrote p too.
func (r Remains) projects(p Projection) bool { return slices.Contains(r.Owner.Projections, p) }

// encode is st as a monitor writes it, which goes on with what the agent wrote
// for CoreDNS.
func (r Remains) encode(st Status) string {
	if r.projects(SkyDNS) {
		st.DNS = st.dns()
	}
	return string(st.Encode(r.Owner.Sequence))
}

// silent holds while a node is as it was examined, and its agent is not there.
func (s *Store) silent(r Remains) []clientv3.Cmp {
	return []clientv3.Cmp{absent(s.keys.node(r.Node)), clientv3.Compare(clientv3.ModRevision(s.keys.owner(r.Node)), "=", r.owner)}
}

// attempt runs a transaction of which the first condition is that the term
// lasts.
func (t *Term) attempt(ctx context.Context, conditions []clientv3.Cmp, ops []clientv3.Op) (int64, error) {
	resp, err := t.store.txn(ctx, conditions, ops, []clientv3.Op{clientv3.OpGet(t.store.keys.active(), clientv3.WithKeysOnly())})
	if err != nil {
		return 0, err
	}
	if resp.Succeeded {
		return resp.Header.Revision, nil
	}
	if kvs := resp.Responses[0].GetResponseRange().Kvs; len(kvs) != 1 || kvs[0].CreateRevision != t.rev {
		return 0, ErrOver
	}
	return 0, ErrStirred
}
