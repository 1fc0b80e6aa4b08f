package chaos

import (
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// TestStopWithoutEtcd asks the agent to stop while etcd is away in one way or another, with statuses that wait for it.
func TestStopWithoutEtcd(t *testing.T) {
	t.Parallel()
	for _, server := range servers {
		t.Run(server.name, func(t *testing.T) {
			t.Parallel()
			row := newRow(t, ofEtcd, "SIGTERM while etcd is away", server.name+", 20 fake")
			etcd := server.start(t)
			way := etcdtest.NewProxy(t, etcd.Address())
			u := newUnrest(row, 20, "http://"+way.Address(), clientv3.Config{Endpoints: []string{etcd.Endpoint()}})
			u.away = 5 * time.Second
			faults := []func(){way.Hold, way.Cut, way.Mute}
			most := time.Duration(0)
			for i := range of(1, 3*len(faults)) {
				a := u.node.Start().AwaitReady()
				u.stir(100 * time.Millisecond)
				row.rightAfter(u.settle(time.Now()), 2*time.Second)
				faults[i%len(faults)]()
				u.stir(200 * time.Millisecond)
				a.Signal(syscall.SIGTERM)
				asked := time.Now()
				row.injected(1)
				if code := a.Wait(); code != 0 {
					t.Errorf("it ended with %d", code)
				}
				most = max(most, time.Since(asked))
				a.AwaitLog("etcd did not take the agent's last word")
				way.Resume()
			}
			row.note("ended after at most %s of 5 s", short(most))
			u.node.Start().AwaitReady()
			row.rightAfter(u.settle(time.Now()), 2*time.Second)
			u.nothingNew()
			u.succession()
		})
	}
}
