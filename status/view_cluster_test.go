package status_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// TestViewWithoutLeader leaves a View's member alone, which then knows no leader:
// the View says so, keeps what it has, and goes on with the others back.
func TestViewWithoutLeader(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("a cluster whose members fail one by one needs root")
	}
	cluster := etcdtest.StartCluster(t, "etcd", 3, 16<<20)
	one := cluster.Members[0]
	put := func(n int, state status.State) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if _, err := one.Client().Put(ctx, status.PathOf("/eru", container(n)), string(in(state, container(n)).Encode(1))); err != nil {
			t.Fatal(err)
		}
	}
	put(1, status.StateHealthy)
	put(2, status.StateHealthy)
	store := newStore(t, status.Config{Endpoints: []string{one.Endpoint()}, Prefix: "/eru", Timeout: time.Second})
	v := runView(t, store, status.ViewConfig{})
	v.is("shop/web: c0001 c0002")
	for _, m := range cluster.Members[1:] {
		m.Kill()
	}
	v.until("it is said", func() bool { return v.State().Lost != nil })
	if err := v.State().Lost; v.sets() != "shop/web: c0001 c0002" || !strings.Contains(err.Error(), "leader") {
		t.Errorf("%s, %v", v.sets(), err)
	}
	for _, m := range cluster.Members[1:] {
		m.Start()
	}
	cluster.Leader()
	put(2, status.StateDraining)
	v.is("shop/web: c0001 c0002~")
	v.until("it is followed again", func() bool { return v.State().Synced })
}
