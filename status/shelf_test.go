package status_test

import (
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// TestQuietFollower holds that a follower who looks whether etcd says other than
// its watch did begins no other watch where nothing changes, and tells nothing.
func TestQuietFollower(t *testing.T) {
	t.Parallel()
	server := etcdtest.StartProcess(t)
	s := newStore(t, status.Config{Endpoints: []string{server.Endpoint()}, Prefix: "/eru", Timeout: unhurried})
	s.SetRelistEvery(20 * time.Millisecond)
	putDrain(t, s, on("c1"), wish("a"), time.Minute)
	seen := followDrains(t, s, "node1")
	until(t, "a wish", seen, by("a"))
	eventually(t, "a watch", func() bool { return server.Metrics().Calls("msg_received", "Watch") == 1 })

	looks := server.Metrics().Calls("started", "Range")
	eventually(t, "ten looks", func() bool {
		select {
		case d := <-seen:
			t.Errorf("told %+v, and nothing has changed", d)
		default:
		}
		return server.Metrics().Calls("started", "Range") >= looks+10
	})
	if n := server.Metrics().Calls("msg_received", "Watch"); n != 1 {
		t.Errorf("etcd was told %d times of watches", n)
	}
	putDrain(t, s, on("c1"), wish("b"), time.Minute)
	until(t, "another wish", seen, by("b"))
}
