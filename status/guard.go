package status

import (
	"context"
	"encoding/json"
	"sync"

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
	client, err := w.store.connected()
	if err != nil {
		return g
	}
	from := w.rev + 1
	watching.Go(func() {
		for resp := range client.Watch(ctx, w.ownerKey(), clientv3.WithRev(from), clientv3.WithFilterDelete()) {
			for _, ev := range resp.Events {
				var owner Owner
				if json.Unmarshal(ev.Kv.Value, &owner) == nil && owner.Instance != w.id.Instance {
					close(g.alarm)
					return
				}
			}
		}
	})
	return g
}
