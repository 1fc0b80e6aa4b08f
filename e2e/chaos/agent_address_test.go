package chaos

import (
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

// heir is what a container that gets the address of one that has died does, and what becomes of it.
type heir struct {
	first, then string // how the dying one and the new one answer
	was, is     string
}

func heirs() []heir {
	return []heir{
		{"silent", "ok", "unhealthy", "healthy"},
		{"silent", "500", "unhealthy", "starting"},
		{"ok", "500", "healthy", "starting"},
		{"ok", "silent", "healthy", "starting"},
		{"500", "ok", "unhealthy", "healthy"},
		{"ok", "ok", "healthy", "healthy"},
	}
}

// TestAddressInherited gives the address of a container that dies to another at once, with a probe of the former under way.
// The former is gone, or comes back with another address.
func TestAddressInherited(t *testing.T) {
	t.Parallel()
	row := newRow(t, ofContainers, "address given to another at once", "etcd 3.7, fake Docker")
	crowd := rig.NewCrowd(t, dockertest.Config{})
	n := r.CrowdNode(t, crowd, etcdtest.Start(t).Endpoint(), clientv3.Config{})
	n.Flags = []string{"--healthcheck.interval", "100ms", "--healthcheck.retry_interval", "100ms", "--healthcheck.timeout", "1s"}
	a := n.Start().AwaitReady()
	l := newLedger(row, n)
	gather(l, crowd, 3)
	before := baseline(t, a)
	for i := range of(12, 60) {
		h := heirs()[i%len(heirs())]
		old := crowd.Join("old")
		address := old.Networks["bridge"]
		l.begins(old.ID)
		l.settle(time.Now())
		l.is(old.ID, h.was, "healthy")
		crowd.Behave(address, h.first)
		l.settle(time.Now())
		<-time.After(time.Duration(i%10) * 20 * time.Millisecond) // so that a probe is under way in every phase

		row.injected(1)
		back := i/len(heirs())%2 == 1 // with another address
		// Until Docker has told of the end, whoever has the address answers for the one who had it.
		way := []string{"draining", "unhealthy", "healthy", "stopped"}
		if back {
			l.is(old.ID, "stopped", way...)
			crowd.Die(old.ID, 1)
		} else {
			l.is(old.ID, rig.Gone, way...)
			crowd.Remove(old.ID)
		}
		crowd.Behave(address, h.then)
		at := time.Now()
		heir := crowd.Join("heir")
		if back {
			l.begins(old.ID)
			crowd.Start(old.ID)
		}
		if heir.Networks["bridge"] != address {
			t.Fatalf("the address %s went to nobody, the heir has %s", address, heir.Networks["bridge"])
		}
		l.is(heir.ID, h.is, "starting")
		row.rightAfter(l.settle(at), time.Second)
		<-time.After(1100 * time.Millisecond) // in which a late answer to the old one would come
		l.nothingNew()
		for _, id := range []string{heir.ID, old.ID} {
			l.goes(id)
			crowd.Remove(id)
		}
		l.settle(time.Now())
		crowd.Behave(address, "ok")
	}
	row.flat(a, before)
}

// TestRealAddressInherited does the same with Docker.
func TestRealAddressInherited(t *testing.T) {
	t.Parallel()
	row := newRow(t, ofContainers, "address given to another at once", "etcd 3.7, Docker")
	n := r.Node(t, etcdtest.Start(t))
	n.Flags = []string{"--healthcheck.interval", "100ms", "--healthcheck.retry_interval", "100ms", "--healthcheck.timeout", "1s"}
	network := n.Network("heirs")
	a := n.Start().AwaitReady()
	l := newLedger(row, n)
	same := 0
	for i := range of(3, 18) {
		h := heirs()[i%len(heirs())]
		old := n.Run("old", rig.HTTP, "--network="+network)
		l.begins(old.ID)
		address := old.Address(network)
		l.settle(time.Now())
		l.is(old.ID, h.was, "healthy")
		old.Behave(h.first)
		l.settle(time.Now())

		row.injected(1)
		l.is(old.ID, rig.Gone, "draining", "stopped")
		old.Docker("rm", "--force")
		heir := n.Run("heir", rig.HTTP, "--network="+network, "--env=MODE="+h.then)
		at := time.Now()
		l.is(heir.ID, h.is, "starting")
		if heir.Address(network) == address {
			same++
		}
		row.rightAfter(l.settle(at), time.Second)
		<-time.After(1100 * time.Millisecond) // in which a late answer to the old one would come
		l.nothingNew()
		l.goes(heir.ID)
		heir.Docker("rm", "--force")
		l.settle(time.Now())
	}
	if row.note("%d had the address of the former", same); same == 0 {
		t.Error("Docker gave no address to another")
	}
	a.AwaitReady()
}
