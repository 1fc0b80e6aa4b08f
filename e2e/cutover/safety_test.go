package cutover

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// checked are flags of a container whose health is another port's matter, so that it serves well when its check fails.
func checked() []string {
	return []string{"--env=PORTS=80,90", "--label=eru.health.http.port=90", "--label=eru.publish=80"}
}

// behave tells one port of a container how to answer.
func behave(t *testing.T, c *rig.Container, port, mode string) {
	t.Helper()
	rig.Await(t, "the control server of "+c.Name, func() error {
		client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := client.Get(fmt.Sprintf("http://%s/behave?port=%s&mode=%s", net.JoinHostPort(c.Address(""), "8081"), port, mode))
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s", body)
		}
		return nil
	})
}

// TestPanic has every check fail at once, as with a bad dependency: requests go to the last set, and a metric says so. One
// that dies leaves it all the same.
func TestPanic(t *testing.T) {
	n := r.Node(t, etcdtest.StartProcess(t))
	n.Start().AwaitReady()
	c := shop(n, 5, checked()...)
	p := startProxy(t)
	b := startBalancer(t, n, p).awaitReady()
	p.awaitIn(c...)
	underLoad(t, p, func() {
		behave(t, c[0], "90", "500") // one alone is taken at its word
		p.awaitIn(c[1:]...)
		behave(t, c[0], "90", "ok")
		p.awaitIn(c...)

		for _, one := range c {
			behave(t, one, "90", "500")
		}
		for _, one := range c {
			one.Await("unhealthy")
		}
		b.awaitMetric(`eru_lb_service_panic{app="shop",entrypoint="web"} 1`)
		if in := p.in(); len(in) < 3 {
			t.Errorf("requests go to %v", in)
		}
		gone := addresses(c[4])[0]
		c[4].Docker("kill")
		c[4].Await("stopped")
		p.await("the dead one to leave", func() error {
			if in := p.in(); slices.Contains(in, gone) || len(in) < 2 {
				return fmt.Errorf("requests go to %v", in)
			}
			return nil
		})
		for _, one := range c[:4] {
			behave(t, one, "90", "ok")
		}
		p.awaitIn(c[:4]...)
		b.awaitMetric(`eru_lb_service_panic{app="shop",entrypoint="web"} 0`)
	})
}

// TestHold keeps one that comes back out for a while, and lets a new one in at once.
func TestHold(t *testing.T) {
	n := r.Node(t, etcdtest.StartProcess(t))
	n.Start().AwaitReady()
	c := shop(n, 3, checked()...)
	p := startProxy(t)
	startBalancer(t, n, p, "--hold", "3s").awaitReady()
	p.awaitIn(c...)
	behave(t, c[0], "90", "500")
	p.awaitIn(c[1:]...)
	behave(t, c[0], "90", "ok")
	c[0].Await("healthy")
	fresh := shop(n, 1, checked()...)
	p.awaitIn(append(fresh, c[1:]...)...) // without the one that is held
	p.awaitIn(append(fresh, c...)...)
}

// TestDrainIsAcknowledged stops a container that takes its time: HAProxy drains it, and eru-lb says in etcd which revision
// it has applied, and no longer once the container is gone.
func TestDrainIsAcknowledged(t *testing.T) {
	n := r.Node(t, etcdtest.StartProcess(t))
	n.Start().AwaitReady()
	c := shop(n, 2, "--env=TERM=linger:3s")
	p := startProxy(t)
	startBalancer(t, n, p).awaitReady()
	p.awaitIn(c...)
	stopped := make(chan struct{})
	go func() { defer close(stopped); c[0].Docker("stop") }()
	c[0].Await("draining")
	draining := slices.Collect(func(yield func(int64) bool) {
		for _, e := range c[0].Events() {
			if !e.Deleted() && e.Status(t).State == "draining" && !yield(e.Revision) {
				return
			}
		}
	})[0]
	acknowledged(t, n, c[0].ID, draining)
	if got, want := p.servers(), addresses(c[0])[0]+" drain"; !slices.Contains(got, want) {
		t.Errorf("%q is not among %q", want, got)
	}
	<-stopped
	acknowledged(t, n, c[0].ID, 0)
	p.awaitIn(c[1])
}

// acknowledged returns once the reader's record has the revision of a container, 0 for none.
func acknowledged(t *testing.T, n *rig.Node, id string, revision int64) {
	t.Helper()
	var last string
	n.Await(t, fmt.Sprintf("the reader to have %s at %d", id, revision), func() bool {
		e, _ := n.Last("reader/edge")
		last = string(e.Value)
		var record struct {
			Kind    string           `json:"kind"`
			Follows []string         `json:"follows"`
			Drained map[string]int64 `json:"drained"`
		}
		if err := json.Unmarshal(e.Value, &record); err != nil {
			return false
		}
		return record.Kind == "haproxy" && slices.Equal(record.Follows, []string{"shop/web"}) && record.Drained[id] == revision
	}, func() string { return last })
}

// TestSlotsUsedUp has more containers than slots: the others are added, come again after a reload, and go.
func TestSlotsUsedUp(t *testing.T) {
	n := r.Node(t, etcdtest.StartProcess(t))
	n.Start().AwaitReady()
	c := shop(n, 4)
	p := startProxy(t, "HAPROXY_SLOTS=2")
	startBalancer(t, n, p).awaitReady()
	p.awaitIn(c...)
	underLoad(t, p, func() {
		p.reload() // which forgets those that were added, and keeps those of the template
		p.awaitIn(c...)
		c[0].Docker("kill")
		c[1].Docker("kill")
		p.awaitIn(c[2:]...)
		settle(300 * time.Millisecond)
	})
}

// TestTwoFamilies serves at an address of IPv6, too, and goes on when the slot passes from one family to the other.
func TestTwoFamilies(t *testing.T) {
	n := r.Node(t, etcdtest.StartProcess(t))
	p := startProxy(t, "HAPROXY_SLOTS=1")
	startBalancer(t, n, p)
	for i, network := range []string{"127.0.0.1:0", "[::1]:0", "127.0.0.1:0"} {
		l, err := net.Listen("tcp", network)
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), ReadHeaderTimeout: time.Second}
		served := make(chan struct{})
		go func() { defer close(served); _ = server.Serve(l) }()
		t.Cleanup(func() { _ = server.Close(); <-served })
		id := strings.Repeat(fmt.Sprint(i), 64)
		key := "status/shop/web/elsewhere/" + id
		n.Put(key, fmt.Sprintf(`{"id":%q,"running":true,"healthy":true,"v":1,"state":"healthy","endpoints":{"80":%q}}`, id, l.Addr()))
		p.await("the only slot to have "+l.Addr().String(), func() error {
			if in := p.in(); !slices.Equal(in, []string{l.Addr().String()}) {
				return fmt.Errorf("%v", p.servers())
			}
			return nil
		})
		underLoad(t, p, func() { settle(300 * time.Millisecond) })
		if _, err := n.Client().Delete(t.Context(), n.Prefix+"/"+key); err != nil {
			t.Fatal(err)
		}
		p.await("the slot to be free", func() error {
			if in := p.in(); len(in) > 0 {
				return fmt.Errorf("%v", in)
			}
			return nil
		})
	}
}

// TestBadInput writes what nobody can read beside what is well, and follows services that HAProxy or etcd do not have: the
// rest goes on, and each is counted and named once.
func TestBadInput(t *testing.T) {
	n := r.Node(t, etcdtest.StartProcess(t))
	n.Start().AwaitReady()
	c := shop(n, 2)
	p := startProxy(t)
	b := startBalancer(t, n, p, "--services", "shop/web=nowhere,shop/nothing=shop-nothing")
	p.awaitIn(c...)
	key := c[0].Key()
	n.Put(strings.Replace(key, c[0].ID, strings.Repeat("a", 64), 1), "not JSON")
	n.Put(strings.Replace(key, c[0].ID, strings.Repeat("b", 64), 1), `{"id":"b","running":true,"healthy":true,"v":2,"state":"healthy"}`)
	n.Put(strings.Replace(key, c[0].ID, strings.Repeat("c", 64), 1), fmt.Sprintf(`{"id":%q,"detail":%q}`, strings.Repeat("c", 64), strings.Repeat("x", 1<<20)))
	n.Put(strings.Replace(key, c[0].ID, strings.Repeat("d", 64), 1), fmt.Sprintf(`{"id":%q,"running":true,"healthy":true,"v":1,"state":"healthy","endpoints":{"80":"0.0.0.0:80"}}`, strings.Repeat("d", 64)))
	n.Put(key+"/more", "{}")
	for _, why := range []string{"json", "version", "size", "address", "key"} {
		b.awaitMetric(fmt.Sprintf("eru_lb_unreadable_total{why=%q} 1", why))
	}
	same(t, p, c...)
	c[0].Docker("kill")
	p.awaitIn(c[1])
	settle(3 * time.Second) // in which it tries again several times
	for _, text := range []string{`HAProxy's configuration has no backend \"nowhere\"`, `HAProxy's configuration has no backend \"shop-nothing\"`, "service shop/nothing has no container"} {
		if times := b.named(text); times != 1 {
			t.Errorf("%q is named %d times in the log", text, times)
		}
	}
	b.awaitMetric("eru_lb_services_without_containers 1")
}
