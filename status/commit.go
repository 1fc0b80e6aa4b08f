package status

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// errMoved says that the owner record is not what it was: somebody else's, or
// ours after a write that was thought lost.
var errMoved = errors.New("the owner record has changed")

// batch is one transaction's worth of entries, as they were when it was made.
type batch struct {
	entries []*entry
	writes  []write
	pending int // entries that wait, these included
}

// write is what a transaction does to one entry.
type write struct {
	value    []byte // nil to delete
	plain    []byte
	lease    int64
	detected time.Time
	step     uint64

	server *server       // nil for none
	beside []clientv3.Op // that write or remove it
	leaves serverValues  // what stands after that
}

func (w *Writer) nextBatch() batch {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.keys.prune()
	entries, pending := w.keys.pick()
	b := batch{entries: entries, pending: pending}
	for _, e := range b.entries {
		wr := write{plain: e.plain, lease: e.lease, detected: e.detected, step: e.step}
		if e.next() == put {
			wr.value = stamp(e.plain, w.seq+1)
		}
		if e.server != nil {
			wr.server = e.server
			wr.beside, wr.leaves = e.server.write(e.next() == remove)
		}
		b.writes = append(b.writes, wr)
	}
	return b
}

// commit writes b if the owner record is still as known, and moves its
// sequence on. After an error the outcome is unknown.
func (w *Writer) commit(ctx context.Context, b batch) error {
	ops := []clientv3.Op{clientv3.OpPut(w.ownerKey(), w.ownerValue(w.seq+1))}
	for i, e := range b.entries {
		ops = append(ops, b.writes[i].beside...)
		if b.writes[i].value == nil {
			ops = append(ops, clientv3.OpDelete(e.key))
			continue
		}
		ops = append(ops, clientv3.OpPut(e.key, string(b.writes[i].value), clientv3.WithLease(clientv3.LeaseID(b.writes[i].lease))))
	}
	resp, err := w.transact(ctx, ops, nil)
	if errors.Is(err, rpctypes.ErrLeaseNotFound) {
		w.leaseLost(b) // the whole transaction was refused, so its outcome is known
		return nil
	}
	if err != nil {
		w.outcomeUnknown(b)
		return err
	}
	if !resp.Succeeded {
		return errMoved
	}
	w.rev, w.seq = resp.Header.Revision, w.seq+1
	w.tellOf(b, resp.Header.Revision)
	w.acknowledge(b, resp.Header.Revision)
	return nil
}

func (w *Writer) transact(ctx context.Context, then, otherwise []clientv3.Op, more ...clientv3.Cmp) (*clientv3.TxnResponse, error) {
	conditions := append([]clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(w.ownerKey()), "=", w.rev)}, more...)
	var resp *clientv3.TxnResponse
	err := w.store.call(ctx, func(ctx context.Context, c *clientv3.Client) error {
		var err error
		resp, err = c.Txn(ctx).If(conditions...).Then(then...).Else(otherwise...).Commit()
		return err
	})
	return resp, err
}

func (w *Writer) acknowledge(b batch, rev int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	keys := len(b.entries)
	for i, e := range b.entries {
		wr := b.writes[i]
		if len(wr.beside) > 0 {
			keys += 2
		}
		w.served(e, wr, rev)
		if wr.value == nil {
			e.rev, e.has, e.hasLease = 0, nil, 0
			w.keys.sort(e)
			continue
		}
		w.back = w.back || wr.lease != 0 && e.key == w.store.keys.node(w.id.Node) && (e.rev == 0 || wr.lease != e.hasLease)
		e.rev, e.has, e.hasLease = rev, wr.plain, wr.lease
		w.keys.sort(e)
		w.metrics.published(now.Sub(wr.detected))
	}
	w.metrics.queue.Store(int64(w.keys.due()))
	w.announceLocked()
	w.metrics.transactions.Add(1)
	w.metrics.keys.Add(uint64(keys))
}

func (w *Writer) outcomeUnknown(b batch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range b.entries {
		w.keys.doubt(e)
	}
}

// leaseLost leaves what hung on a session that has ended alone until it is set
// again.
func (w *Writer) leaseLost(b batch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, e := range b.entries {
		if e.lease != 0 && e.lease == b.writes[i].lease {
			e.plain = nil
			w.keys.sort(e)
		}
	}
	w.announceLocked()
	w.log.Info("the node's session ended before what hangs on it was written")
}

func (w *Writer) ownerKey() string { return w.store.keys.owner(w.id.Node) }

func (w *Writer) ownerValue(seq uint64) string {
	w.mu.Lock()
	stopping := w.stopping
	w.mu.Unlock()
	return string(mustMarshal(Owner{Instance: w.id.Instance, Sequence: seq, Version: w.id.Version, Started: w.id.Started.UTC(),
		Machine: w.id.Machine, Address: w.id.Address, Session: w.id.Session, Stopping: stopping, Projections: w.beside()}))
}
