package status_test

import (
	"bufio"
	"net/http"
	"strconv"
	"strings"
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
	eventually(t, "a watch", func() bool { return asked(t, server, "msg_received", "Watch") == 1 })

	looks := asked(t, server, "started", "Range")
	eventually(t, "ten looks", func() bool {
		select {
		case d := <-seen:
			t.Errorf("told %+v, and nothing has changed", d)
		default:
		}
		return asked(t, server, "started", "Range") >= looks+10
	})
	if n := asked(t, server, "msg_received", "Watch"); n != 1 {
		t.Errorf("etcd was told %v times of watches", n)
	}
	putDrain(t, s, on("c1"), wish("b"), time.Minute)
	until(t, "another wish", seen, by("b"))
}

// asked is one of etcd's counts of calls.
func asked(t *testing.T, server *etcdtest.Server, what, method string) float64 {
	t.Helper()
	resp, err := http.Get(server.Endpoint() + "/metrics") //nolint:noctx // a test's
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		series, value, _ := strings.Cut(lines.Text(), " ")
		if strings.HasPrefix(series, "grpc_server_"+what+"_total{") && strings.Contains(series, `grpc_method="`+method+`"`) {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("etcd does not count how often %s is %s", method, what)
	return 0
}
