package e2e

import (
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

// TestStopBeforeEtcd asks an agent to stop that etcd has never answered, when another one runs already: it must not take
// the node in its last moments.
func TestStopBeforeEtcd(t *testing.T) {
	etcd := etcdtest.Start(t)
	proxy := etcdtest.NewProxy(t, etcd.Address())
	proxy.Cut()
	crowd := rig.NewCrowd(t, dockertest.Config{})
	n := r.CrowdNode(t, crowd, etcd.Endpoint(), clientv3.Config{})
	cut := r.CrowdNode(t, crowd, "http://"+proxy.Address(), clientv3.Config{Endpoints: []string{etcd.Endpoint()}})
	cut.Name = n.Name
	older := cut.Start("--etcd.timeout", "300ms")
	older.AwaitLog("etcd does not take writes")
	newer := n.Start().AwaitReady()
	older.Signal(syscall.SIGTERM)
	<-time.After(200 * time.Millisecond) // which an agent may take to hear it
	proxy.Resume()
	if code := older.Wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	crowd.Join("shop")
	n.Await(t, "the newer one to write", func() bool { return len(n.Events("status/shop/")) > 0 }, func() string { return "nothing" })
	newer.AwaitReady()
}
