package silence

import (
	"testing"
	"time"
)

// TestEtcdFrozen: etcd stands still for twice the TTL, and then finds every session over.
func TestEtcdFrozen(t *testing.T) { frozen(t, 1) }

// TestEtcdMembersFrozen: three members stand still together.
func TestEtcdMembersFrozen(t *testing.T) { frozen(t, 3) }

func frozen(t *testing.T, members int) {
	f := newFleet(t, "etcd frozen for twice the TTL", 4, members, of(2*time.Second, 10*time.Second))
	for range of(1, 3) {
		for _, m := range f.etcd.Members {
			m.Freeze()
		}
		wait(2 * f.ttl)
		for _, m := range f.etcd.Members {
			m.Thaw()
		}
		f.etcd.Leader()
		for _, n := range f.nodes {
			n.agent.AwaitReady()
		}
		wait(f.lostWithin())
		for _, n := range f.nodes {
			n.awaitSession()
		}
		f.row.happened(1, "")
	}
	f.monitor(f.nodes...)
	ended := 0
	for _, e := range f.seen.Events("status:node/") {
		if e.Deleted() {
			ended++
		}
	}
	f.row.note("%d sessions ended", ended)
}
