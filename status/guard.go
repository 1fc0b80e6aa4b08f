package status

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// guard watches the owner record, so that an agent that is superseded learns it
// at once and not with its next write. The fence does not depend on it: a watch
// that fails is only silence, and the audit asks as well.
type guard struct {
	alarm chan struct{} // closed when another instance's record is seen
	stop  func()        // ends the watch and waits for it
}

func (w *Writer) watchOwner(ctx context.Context) *guard {
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	g := &guard{alarm: make(chan struct{}), stop: func() { cancel(); watching.Wait() }}
	from := w.rev + 1
	watching.Go(func() {
		var wait backOff
		for ctx.Err() == nil {
			if w.superseded(ctx, from) {
				close(g.alarm)
				return
			}
			// The member was left, or what was to be heard next has been compacted.
			select {
			case <-ctx.Done():
			case <-time.After(wait.next()):
			}
			from = 0
		}
	})
	return g
}

// superseded watches the owner record until the watch ends, and says whether
// another instance's was seen. From revision 0 it reads the record first.
func (w *Writer) superseded(ctx context.Context, from int64) bool {
	if from == 0 {
		var resp *clientv3.GetResponse
		err := w.store.call(ctx, func(ctx context.Context, c *clientv3.Client) error {
			var err error
			resp, err = c.Get(ctx, w.ownerKey())
			return err
		})
		if err != nil {
			return false
		}
		if len(resp.Kvs) == 1 && w.foreign(resp.Kvs[0].Value) {
			return true
		}
		from = resp.Header.Revision + 1
	}
	client, err := w.store.connected()
	if err != nil {
		return false
	}
	watching := clientv3.WithRequireLeader(ctx)
	for resp := range client.Watch(watching, w.ownerKey(), clientv3.WithRev(from), clientv3.WithFilterDelete()) {
		for _, ev := range resp.Events {
			if w.foreign(ev.Kv.Value) {
				return true
			}
		}
	}
	return false
}

// foreign says that an owner record is another instance's.
func (w *Writer) foreign(record []byte) bool {
	var owner Owner
	return json.Unmarshal(record, &owner) == nil && owner.Instance != w.id.Instance
}
