package cutover

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// drain takes a container out as an operator does, with more flags, and waits for the proxy.
func drain(t *testing.T, n *rig.Node, args ...string) {
	t.Helper()
	args = append([]string{"drain", "--wait", "--timeout", "1m", "--etcd.endpoints", n.Endpoint(), "--etcd.prefix", n.Prefix}, args...)
	out, errs, code := r.Exec(t, args...)
	if code != 0 || !strings.HasSuffix(out, "\nnothing new is sent: applied by edge\n") {
		t.Fatalf("draining: exit code %d, %s%s", code, out, errs)
	}
}

// TestDrainThenKill kills containers as soon as eru-lb has said that they are drained: no request may be lost, though
// they end at once and nothing else had time to hear of it.
func TestDrainThenKill(t *testing.T) {
	n := r.Node(t, etcdtest.StartProcess(t))
	n.Start().AwaitReady()
	c := shop(n, 4)
	p := startProxy(t)
	b := startBalancer(t, n, p).awaitReady()
	p.awaitIn(c...)
	underLoad(t, p, func() {
		settle(500 * time.Millisecond)
		for _, one := range c[:2] {
			drain(t, n, one.Name)
			settle(100 * time.Millisecond) // what is under way takes a few ms
			one.Docker("kill")
		}
		drain(t, n, c[2].ID, "--for", "5s") // and comes back by itself
		p.awaitIn(c[3])
		p.awaitIn(c[2:]...)
		settle(500 * time.Millisecond)
	})

	b.Signal(syscall.SIGSTOP) // it lives, as far as etcd knows, and applies nothing
	out, errs, code := r.Exec(t, "drain", c[2].Name, "--wait", "--timeout", "2s", "--etcd.endpoints", n.Endpoint(), "--etcd.prefix", n.Prefix)
	if code != 1 || !strings.Contains(errs, "2s has passed while waiting for reader edge (haproxy); the drain stands") {
		t.Errorf("exit code %d, %s%s", code, out, errs)
	}
	b.Signal(syscall.SIGCONT)
	drain(t, n, c[2].Name)
	p.awaitIn(c[3])
}
