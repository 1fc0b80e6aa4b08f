package status

import (
	"context"
	"fmt"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// audit compares what is known of each key with what etcd holds, in read-only
// transactions, and learns what differs.
func (w *Writer) audit(ctx context.Context) error {
	for _, part := range w.parts() {
		if err := w.auditPart(ctx, part); err != nil {
			return fmt.Errorf("comparing the keys of node %q: %w", w.id.Node, err)
		}
	}
	return nil
}

// known is what an entry knew at one moment.
type known struct {
	key   string
	rev   int64
	lease int64

	server *server // its keys and revisions change in Run's goroutine alone
}

// parts cuts the entries into transactions.
func (w *Writer) parts() [][]known {
	w.mu.Lock()
	defer w.mu.Unlock()
	parts := [][]known{nil} // without a key there is still the owner record
	operations := 0
	for key, e := range w.keys.entries {
		if operations += e.operations(); operations > maxOperations {
			parts, operations = append(parts, nil), e.operations()
		}
		last := &parts[len(parts)-1]
		*last = append(*last, known{key, e.rev, e.hasLease, e.server})
	}
	return parts
}

func (w *Writer) auditPart(ctx context.Context, part []known) error {
	var conditions []clientv3.Cmp
	read := []clientv3.Op{clientv3.OpGet(w.ownerKey(), clientv3.WithKeysOnly())}
	for _, k := range part {
		conditions = append(conditions, clientv3.Compare(clientv3.ModRevision(k.key), "=", k.rev))
		read = append(read, clientv3.OpGet(k.key))
		if k.server != nil {
			conditions = append(conditions, k.server.conditions()...)
			read = append(read, k.server.reads()...)
		}
	}
	resp, err := w.transact(ctx, nil, read, conditions...)
	if err != nil {
		return err
	}
	if resp.Succeeded {
		return nil
	}
	if owner := resp.Responses[0].GetResponseRange().Kvs; len(owner) != 1 || owner[0].ModRevision != w.rev {
		return errMoved
	}
	answers := resp.Responses[1:]
	for _, k := range part {
		answers = w.learn(k, answers)
	}
	return nil
}

// learn takes over what etcd holds of one entry, and returns the other answers.
func (w *Writer) learn(k known, answers []*etcdserverpb.ResponseOp) []*etcdserverpb.ResponseOp {
	got, answers := answers[0].GetResponseRange(), answers[1:]
	var rev, lease int64
	var has []byte
	if len(got.Kvs) == 1 {
		rev, has, lease = got.Kvs[0].ModRevision, normal(got.Kvs[0].Value), got.Kvs[0].Lease
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	news := rev != k.rev
	if k.server != nil {
		news = k.server.learn(answers[0].GetResponseRange(), answers[1].GetResponseRange()) || news
		answers = answers[2:]
	}
	e, ok := w.keys.entries[k.key]
	if !ok || !news {
		return answers
	}
	if expired := k.lease != 0 && rev == 0; k.rev != unknown && !expired && !ofMonitor(has) {
		w.metrics.foreign.Add(1)
		w.log.Warn("somebody else changed a key of this node; writing it again", zap.String("key", k.key), zap.Int64("revision", rev))
	}
	e.rev, e.has, e.hasLease = rev, has, lease
	w.keys.sort(e)
	return answers
}

// ofMonitor says whether a value is the monitor's, who had reason to write it
// while this agent was silent.
func ofMonitor(value []byte) bool {
	s, err := Decode(value)
	return err == nil && (s.Reason == ReasonSurrogate || s.Reason == ReasonNodeLost)
}
