package status

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// scanPage bounds one read of the tree, in keys, and keysPage one without values.
// Etcd counts what is left of the range for each page, so that pages of 1,000 cost
// it five times what pages of 10,000 do to read a tree of 100,000, and a fleet that
// starts reads it once for each node.
const (
	scanPage = 1000
	keysPage = 10000
)

// secure makes this instance the node's owner, or makes sure that it still is,
// and leaves every entry with a known revision.
//
// Either way it moves the owner record on. A write that was thought lost can
// land until then, even one whose opposite has been wanted since; from then on
// it finds another record than it compares with, and what the audit reads is
// final.
func (w *Writer) secure(ctx context.Context, adopt func(context.Context, []Found) error) error {
	owner, rev, node, err := w.readOwner(ctx)
	if err != nil {
		return err
	}
	back := owner.Sequence < w.seq
	switch {
	case w.seq > 0 && !back && owner.Instance != w.id.Instance:
		return fmt.Errorf("%w: instance %q (version %s) on machine %q has taken over node %q from this one; stop one of the two, or give them different node names",
			ErrFenced, owner.Instance, owner.Version, owner.Machine, w.id.Node)
	case w.seq == 0 && owner.Machine != "" && owner.Machine != w.id.Machine && node.holds(owner):
		return fmt.Errorf("%w: node %q is held by a live agent on machine %q, this one is %q; stop that agent, or set another node name here",
			ErrHeld, w.id.Node, owner.Machine, w.id.Machine)
	case back:
		w.owned = false
		w.log.Warn("etcd went back in time (restored from a backup?); writing everything again",
			zap.Uint64("sequence", w.seq), zap.Uint64("found", owner.Sequence), zap.String("instance", owner.Instance))
	}
	if !w.owned {
		w.clearing = !w.traefik && slices.Contains(owner.Projections, Traefik)
	}
	if err := w.move(ctx, rev, max(owner.Sequence, w.seq)+1); err != nil {
		return err
	}
	if w.owned {
		return w.audit(ctx)
	}
	return w.takeOver(ctx, owner, adopt)
}

// move writes the owner record with sequence seq over the one of revision rev.
func (w *Writer) move(ctx context.Context, rev int64, seq uint64) error {
	w.rev = rev
	resp, err := w.transact(ctx, []clientv3.Op{clientv3.OpPut(w.ownerKey(), w.ownerValue(seq))}, nil)
	if err == nil && !resp.Succeeded {
		err = errMoved
	}
	if err != nil {
		return fmt.Errorf("claiming node %q: %w", w.id.Node, err)
	}
	w.rev, w.seq = resp.Header.Revision, seq
	w.claimed.Store(true)
	return nil
}

func (w *Writer) takeOver(ctx context.Context, was Owner, adopt func(context.Context, []Found) error) error {
	found, err := w.scan(ctx)
	if err != nil {
		return err
	}
	w.log.Info("took over the node's keys", zap.String("node", w.id.Node), zap.Int("statuses", len(found)),
		zap.String("from", was.Instance), zap.Uint64("sequence", w.seq))
	if err := adopt(ctx, found); err != nil {
		return fmt.Errorf("adopting the statuses of node %q: %w", w.id.Node, err)
	}
	w.owned = true
	return nil
}

func (w *Writer) readOwner(ctx context.Context) (Owner, int64, Node, error) {
	var resp *clientv3.TxnResponse
	err := w.store.call(ctx, func(ctx context.Context, c *clientv3.Client) error {
		var err error
		resp, err = c.Txn(ctx).Then(clientv3.OpGet(w.ownerKey()), clientv3.OpGet(w.store.keys.node(w.id.Node))).Commit()
		return err
	})
	if err != nil {
		return Owner{}, 0, Node{}, fmt.Errorf("reading who owns node %q: %w", w.id.Node, err)
	}
	var owner Owner
	var rev int64
	for _, kv := range resp.Responses[0].GetResponseRange().Kvs {
		rev = kv.ModRevision
		if err := json.Unmarshal(kv.Value, &owner); err != nil {
			w.log.Warn("the owner record cannot be read and is replaced", zap.ByteString("value", kv.Value), zap.Error(err))
		}
	}
	var node Node
	for _, kv := range resp.Responses[1].GetResponseRange().Kvs {
		if node, err = DecodeNode(kv.Value); err != nil {
			w.log.Warn("the node record cannot be read and is replaced", zap.Error(err))
		}
	}
	return owner, rev, node, nil
}

// scan finds the node's keys in the whole tree: they are not neighbours there.
// It reads keys alone, page by page, and values only of its own.
func (w *Writer) scan(ctx context.Context) ([]Found, error) {
	keys, err := w.scanKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("looking for the keys of node %q: %w", w.id.Node, err)
	}
	w.mu.Lock()
	for _, k := range keys {
		w.keys.change(w.store.keys.container(k), true, func(e *entry) { w.inheritLocked(e, k) })
	}
	for _, e := range w.keys.entries {
		w.keys.doubt(e)
	}
	w.mu.Unlock()
	if err := w.audit(ctx); err != nil {
		return nil, err
	}
	return w.found(keys), nil
}

func (w *Writer) scanKeys(ctx context.Context) ([]Key, error) {
	var keys []Key
	from := w.store.keys.statuses()
	end := clientv3.GetPrefixRangeEnd(from)
	for {
		var resp *clientv3.GetResponse
		err := w.store.call(ctx, func(ctx context.Context, c *clientv3.Client) error {
			var err error
			resp, err = c.Get(ctx, from, clientv3.WithRange(end), clientv3.WithKeysOnly(), clientv3.WithLimit(keysPage))
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, kv := range resp.Kvs {
			key := string(kv.Key)
			if nodeIn(key) != w.id.Node {
				continue
			}
			if k, err := w.store.keys.parse(key); err == nil {
				keys = append(keys, k)
			}
		}
		if !resp.More {
			return keys, nil
		}
		from = string(resp.Kvs[len(resp.Kvs)-1].Key) + "\x00"
	}
}

// found reads back what the audit learnt of keys.
func (w *Writer) found(keys []Key) []Found {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []Found
	for _, k := range keys {
		key := w.store.keys.container(k)
		e, ok := w.keys.entries[key]
		if !ok || e.rev == 0 {
			continue
		}
		s, err := Decode(e.has)
		if err != nil {
			w.log.Warn("a status of this node cannot be read and will be written anew", zap.String("key", key), zap.Error(err))
		}
		found = append(found, Found{Key: k, Status: s})
	}
	return found
}
