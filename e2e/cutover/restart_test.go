package cutover

import (
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// TestReload reloads HAProxy while containers are killed; what was told at run time is there again at once, and no request
// is lost.
func TestReload(t *testing.T) {
	n := r.Node(t, etcdtest.StartProcess(t))
	n.Start().AwaitReady()
	c := shop(n, 5)
	p := startProxy(t)
	b := startBalancer(t, n, p).awaitReady()
	p.awaitIn(c...)
	underLoad(t, p, func() {
		for range 3 {
			p.reload()
			same(t, p, c...)
			b.Err.Await(t, `"pid":`+p.pid(), b.Exited())
		}
		c[0].Docker("kill")
		p.reload() // in the middle of it
		p.awaitIn(c[1:]...)
		p.reload()
		same(t, p, c[1:]...)
		settle(500 * time.Millisecond)
	})
}

// same fails unless requests go to the containers at this moment.
func same(t *testing.T, p *proxy, c ...*rig.Container) {
	t.Helper()
	if in, want := p.in(), addresses(c...); !slices.Equal(in, want) {
		t.Errorf("HAProxy sends to %v, want %v: %v", in, want, p.servers())
	}
}

// TestHAProxyCrash kills HAProxy. The one that is started then begins with all servers by itself, and learns from eru-lb
// what has happened meanwhile.
func TestHAProxyCrash(t *testing.T) {
	n := r.Node(t, etcdtest.StartProcess(t))
	n.Start().AwaitReady()
	c := shop(n, 3)
	p := startProxy(t)
	b := startBalancer(t, n, p).awaitReady()
	p.awaitIn(c...)

	b.Signal(syscall.SIGSTOP)
	p.crash()
	p.start()
	same(t, p, c...)
	underLoad(t, p, func() { settle(300 * time.Millisecond) })
	b.Signal(syscall.SIGCONT)
	b.awaitMetric("eru_lb_haproxy_reloads_total 1")

	p.crash()
	b.awaitMetric("eru_lb_haproxy_up 0")
	c[0].Docker("kill")
	c[0].Await("stopped")
	p.start()
	p.awaitIn(c[1:]...)
	b.awaitReady()
	if times := b.named(`"the proxy is not as it should be"`); times != 1 {
		t.Errorf("that HAProxy was gone is named %d times in the log", times)
	}
}

// TestBalancerKilled kills eru-lb. HAProxy goes on with what it has, and the next eru-lb takes out what has died meanwhile,
// and nothing else.
func TestBalancerKilled(t *testing.T) {
	n := r.Node(t, etcdtest.StartProcess(t))
	n.Start().AwaitReady()
	c := shop(n, 4)
	p := startProxy(t)
	b := startBalancer(t, n, p).awaitReady()
	p.awaitIn(c...)
	underLoad(t, p, func() {
		b.Kill()
		same(t, p, c...)
		b = startBalancer(t, n, p).awaitReady()
		same(t, p, c...)
		b.Kill()
		all := addresses(c...)
		c[0].Docker("kill")
		c[0].Await("stopped")
		if in := p.in(); !slices.Equal(in, all) {
			t.Errorf("without eru-lb HAProxy sends to %v, before that to %v", in, all)
		}
		startBalancer(t, n, p)
		p.awaitIn(c[1:]...)
	})
}

// TestEtcdAway takes etcd away. Nothing leaves the set, not even when eru-lb and HAProxy are started again meanwhile, and
// what has happened is known soon after it is back.
func TestEtcdAway(t *testing.T) {
	etcd := etcdtest.StartProcess(t)
	n := r.Node(t, etcd)
	n.Start().AwaitReady()
	c := shop(n, 3)
	p := startProxy(t)
	b := startBalancer(t, n, p).awaitReady()
	p.awaitIn(c...)
	b.Signal(syscall.SIGTERM) // which writes the copy
	if code := b.Wait(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
	b = startBalancer(t, n, p).awaitReady()

	etcd.Stop()
	underLoad(t, p, func() {
		b.awaitMetric("eru_lb_etcd_synced 0")
		same(t, p, c...)
	})
	b.Kill()
	p.crash()
	if err := exec.Command("rm", p.state()).Run(); err != nil {
		t.Fatal(err)
	}
	p.start() // which has forgotten all
	b = startBalancer(t, n, p).awaitReady()
	p.awaitIn(c...)
	b.awaitMetric("eru_lb_etcd_synced 0")
	c[0].Docker("kill")
	etcd.Restart()
	p.awaitIn(c[1:]...)
	b.awaitMetric("eru_lb_etcd_synced 1")
}

// TestNothingKnown starts eru-lb where it knows nothing: etcd is away and there is no copy. It leaves HAProxy alone.
func TestNothingKnown(t *testing.T) {
	etcd := etcdtest.StartProcess(t)
	n := r.Node(t, etcd)
	n.Start().AwaitReady()
	c := shop(n, 2)
	p := startProxy(t)
	startBalancer(t, n, p).awaitReady().Kill()
	same(t, p, c...)
	etcd.Stop()
	b := startBalancer(t, n, p, "--state_dir", "")
	rig.Await(t, "eru-lb to say what it waits for", func() error {
		code, body, err := b.get("/readyz")
		if err == nil && (code != 503 || body != "not ready: etcd: nothing has been read of shop/web\n") {
			err = exec.ErrNotFound
		}
		return err
	})
	p.reload()
	settle(time.Second)
	same(t, p, c...)
	etcd.Restart()
	b.awaitReady()
	same(t, p, c...)
}
