package etcdtest_test

import (
	"context"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// puts says whether a member takes a write.
func puts(m *etcdtest.Member) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	_, err := m.Client().Put(ctx, "k", m.Name)
	return err == nil
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	late := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-late:
			t.Fatalf("waiting for %s", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// TestCluster holds that each fault of a member is what it says, and ends.
func TestCluster(t *testing.T) {
	c := etcdtest.StartCluster(t, "etcd", 3, 16<<20)
	for name, fault := range map[string]struct{ begin, end func(*etcdtest.Member) }{
		"killed":                 {(*etcdtest.Member).Kill, (*etcdtest.Member).Start},
		"frozen":                 {(*etcdtest.Member).Freeze, (*etcdtest.Member).Thaw},
		"cut off":                {(*etcdtest.Member).Cut, (*etcdtest.Member).Heal},
		"cut off from its peers": {(*etcdtest.Member).CutPeers, (*etcdtest.Member).Heal},
	} {
		was := c.Leader()
		fault.begin(was)
		if puts(was) {
			t.Errorf("a member that is %s takes writes", name)
		}
		for _, m := range c.Members {
			if m != was {
				await(t, "a member to take writes while another is "+name, func() bool { return puts(m) })
			}
		}
		if now := c.Leader(); now == was {
			t.Errorf("a member that is %s leads", name)
		}
		fault.end(was)
		await(t, "a member to take writes that was "+name, func() bool { return puts(was) })
	}
}
