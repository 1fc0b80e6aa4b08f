package e2e

import (
	"context"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// proxy is a reader that says who it is, follows services, and applies what the test lets it.
type proxy struct {
	name    string
	n       *rig.Node
	store   *status.Store
	record  status.Reader
	records chan status.Reader
	leave   func()
}

func newProxy(t *testing.T, n *rig.Node, cfg status.Config, name string, follows ...string) *proxy {
	t.Helper()
	cfg.Endpoints, cfg.Prefix, cfg.Timeout = []string{n.Endpoint()}, n.Prefix, rig.Patience
	p := &proxy{name: name, n: n, store: status.NewStore(cfg, zap.NewNop()), records: make(chan status.Reader),
		record: status.Reader{Kind: "fake", Instance: name, Follows: follows, Drained: map[string]int64{}}}
	ctx, cancel := context.WithCancel(context.Background())
	var acknowledging sync.WaitGroup
	acknowledging.Go(func() {
		if err := p.store.Acknowledge(ctx, name, 2*time.Second, p.records); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	})
	p.leave = sync.OnceFunc(func() { cancel(); acknowledging.Wait(); _ = p.store.Close() })
	t.Cleanup(p.leave)
	p.say()
	n.Await(t, name+" to be known", func() bool { _, ok := n.Last("reader/" + name); return ok }, func() string { return "nothing" })
	return p
}

func (p *proxy) say() {
	record := p.record
	record.Drained = map[string]int64{}
	for id, revision := range p.record.Drained {
		record.Drained[id] = revision
	}
	p.records <- record
}

// apply acknowledges a container's drain as of a revision.
func (p *proxy) apply(c *rig.Container, revision int64) {
	p.record.Drained[c.ID] = revision
	p.say()
}

// told is the revision of what the witness has last seen of c.
func told(c *rig.Container) int64 {
	events := c.Events()
	return events[len(events)-1].Revision
}

// TestDrainWaits waits for proxies that apply a drain late, die before they have, or have nothing to do with it.
func TestDrainWaits(t *testing.T) {
	t.Parallel()
	eachEtcd(t, func(t *testing.T, start func(testing.TB, ...etcdtest.Option) *etcdtest.Server) {
		n := r.Node(t, start(t))
		n.Start().AwaitReady()
		c := n.Run("shop", rig.HTTP)
		c.Await("healthy")
		before := told(c)
		late := newProxy(t, n, status.Config{}, "late", "shop/web")
		dying := newProxy(t, n, status.Config{}, "dying", "other/web", "shop/*")
		newProxy(t, n, status.Config{}, "elsewhere", "other/*", "shop/api")

		waiting := r.Launch(t, onEtcd(n, "drain", c.Name, "--wait", "--timeout", "1m")...)
		c.Await("draining")
		waiting.Err.Await(t, "waiting for reader dying (fake); reader late (fake)", waiting.Exited())
		late.apply(c, before) // what it had applied long ago
		dying.leave()
		waiting.Err.Await(t, "waiting for reader late (fake)\n", waiting.Exited())
		select {
		case <-waiting.Exited():
			t.Fatalf("it did not wait for the late one: %s%s", waiting.Out, waiting.Err)
		default:
		}
		late.apply(c, told(c))
		want(t, "exit code", waiting.Wait(), 0)
		if said := waiting.Out.String(); !strings.HasSuffix(said, "\nnothing new is sent: applied by late\n") {
			t.Errorf("it says %s", said)
		}

		// What is drained already is waited for no longer; what nobody follows is not waited for at all.
		if said := operate(t, n, "drain", "--node", n.Name, "--wait"); !strings.HasSuffix(said, "\nnothing new is sent: applied by late\n") {
			t.Errorf("of the node it says %s", said)
		}
		alone := n.Run("alone", rig.HTTP)
		alone.Await("draining")
		if said := operate(t, n, "drain", alone.ID, "--wait"); !strings.HasSuffix(said, "\netcd says so; no proxy that says who it is follows this service\n") {
			t.Errorf("of a service that nobody follows it says %s", said)
		}
	})
}

// TestDrainWaitsInVain has the wait end before its time has come; the wish stands.
func TestDrainWaitsInVain(t *testing.T) {
	t.Parallel()
	n := r.Node(t, etcdtest.Start(t))
	a := n.Start("--etcd.session_ttl", "2s").AwaitReady()
	c := n.Run("shop", rig.HTTP)
	c.Await("healthy")
	newProxy(t, n, status.Config{}, "stuck", "*/*")
	refused(t, n, `(?s)waiting for reader stuck \(fake\)\n.*eru-agent: 2s has passed while waiting for reader stuck \(fake\); the drain stands\n$`, "drain", c.Name, "--wait", "--timeout", "2s")
	c.Await("draining")

	interrupted := r.Launch(t, onEtcd(n, "drain", c.Name, "--wait")...)
	interrupted.Err.Await(t, "waiting for reader stuck", interrupted.Exited())
	interrupted.Signal(syscall.SIGINT)
	want(t, "exit code", interrupted.Wait(), 1)
	if said := interrupted.Err.String(); !strings.HasSuffix(said, "eru-agent: interrupted while waiting for reader stuck (fake); the drain stands\n") {
		t.Errorf("it says %s", said)
	}
	if e, ok := n.Last("drain/" + n.Name + "/" + c.ID); !ok || e.Deleted() {
		t.Error("the drain does not stand any more")
	}
	overtaken := r.Launch(t, onEtcd(n, "drain", c.Name, "--wait")...)
	overtaken.Err.Await(t, "waiting for reader stuck", overtaken.Exited())
	operate(t, n, "undrain", c.ID)
	want(t, "exit code", overtaken.Wait(), 1)
	if said := overtaken.Err.String(); !strings.HasSuffix(said, "eru-agent: the drain has ended while waiting for reader stuck (fake)\n") &&
		!strings.HasSuffix(said, "eru-agent: the drain has ended while waiting for the agent of node "+n.Name+"\n") { // which has heard of it already
		t.Errorf("it says %s", said)
	}
	c.Await("healthy")

	a.Kill()
	refused(t, n, `(?s)waiting for the agent of node `+n.Name+`\n.*eru-agent: the drain has ended while waiting for the agent of node `+n.Name+`, which is silent\n$`, "drain", c.Name, "--wait", "--for", "6s")
	if _, errs, code := r.Exec(t, onEtcd(n, "drain", c.Name)...); code != 0 || errs != "the agent of node "+n.Name+" is silent, and does so when it is back\n" {
		t.Errorf("without waiting: exit code %d, %s", code, errs)
	}
}
