package cutover

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/e2e/load"
	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// controlPlane is where eru-lb xds serves; it is the same over restarts.
type controlPlane struct {
	t    testing.TB
	node *rig.Node
	addr string
}

func newControlPlane(t testing.TB, n *rig.Node) *controlPlane {
	t.Helper()
	return &controlPlane{t, n, rig.FreeAddress(t)}
}

func (p *controlPlane) start(flags ...string) *balancer {
	p.t.Helper()
	return launch(p.t, p.node, append([]string{"xds", "--services", "shop/web:8082", "--xds.addr", p.addr, "--state_dir", ""}, flags...)...)
}

// calls are those of a gRPC client under load, which no test lets fail.
type calls struct {
	*load.Load

	t testing.TB
}

// call begins to call shop/web through xDS, until the test ends.
func (p *controlPlane) call() calls {
	p.t.Helper()
	x, err := load.NewXDS(p.addr, load.Insecure, "shop-web")
	if err != nil {
		p.t.Fatal(err)
	}
	c := calls{load.Start(p.t.Context(), 100, x.Ask), p.t}
	p.t.Cleanup(func() { c.Stop(); x.Close() })
	return c
}

// goTo returns once calls go to the containers, to each and to no other.
func (c calls) goTo(to ...*rig.Container) {
	c.t.Helper()
	since := time.Now()
	rig.Await(c.t, "the calls to go where they should", func() error {
		ended, wanted := c.Ended().Between(since, time.Now()), 0
		for _, one := range to {
			n := len(ended.ServedBy(one.ID[:12]))
			if n == 0 {
				return fmt.Errorf("none of %d goes to %s", len(ended), one.Name)
			}
			wanted += n
		}
		if others := len(ended) - len(ended.Failed()) - wanted; others > 0 {
			since = time.Now() // look at those from here on
			return fmt.Errorf("%d go elsewhere", others)
		}
		if wanted < 50 {
			return errors.New("there are too few to say")
		}
		return nil
	})
}

// unharmed fails if a call has.
func (c calls) unharmed() {
	c.t.Helper()
	if ended := c.Stop(); len(ended.Failed()) > 0 || len(ended) == 0 {
		c.t.Errorf("%d of %d calls failed: %s", len(ended.Failed()), len(ended), ended.Why())
	}
}

// grpcShop starts containers whose port 80 is probed and whose port 8082 answers gRPC.
func grpcShop(n *rig.Node, count int, flags ...string) []*rig.Container {
	return shop(n, count, append([]string{"--env=GRPC=8082", "--label=eru.publish=8082"}, flags...)...)
}

// TestXDSCutover has containers of a gRPC service fail their check, stop and come, and eru-lb killed between; no call is
// lost.
func TestXDSCutover(t *testing.T) {
	n := r.Node(t, etcdtest.StartProcess(t))
	n.Start().AwaitReady()
	c := grpcShop(n, 5, "--env=TERM=finish")
	p := newControlPlane(t, n)
	b := p.start().awaitReady()
	to := p.call()
	to.goTo(c...)
	c[0].Behave("500")
	to.goTo(c[1:]...)
	c[0].Behave("ok")
	to.goTo(c...)
	c[0].Docker("stop")
	to.goTo(c[1:]...)

	b.Kill()
	to.goTo(c[1:]...)
	b = p.start().awaitReady()
	c[1].Docker("stop")
	c = append(c[2:], grpcShop(n, 1)...)
	to.goTo(c...)
	b.awaitMetric(`eru_lb_servers{app="shop",entrypoint="web",use="ready"} 4`)
	to.unharmed()
}

// TestXDSPanic has one check fail, which is taken at its word, and then all: calls go on to the last set.
func TestXDSPanic(t *testing.T) {
	n := r.Node(t, etcdtest.StartProcess(t))
	n.Start().AwaitReady()
	c := grpcShop(n, 3)
	p := newControlPlane(t, n)
	b := p.start().awaitReady()
	to := p.call()
	to.goTo(c...)
	c[0].Behave("500")
	to.goTo(c[1:]...)
	for _, one := range c[1:] {
		one.Behave("500")
		one.Await("unhealthy")
	}
	b.awaitMetric(`eru_lb_service_panic{app="shop",entrypoint="web"} 1`)
	to.goTo(c[1:]...)
	to.unharmed()
}

// TestXDSWithoutEtcd takes etcd away and starts eru-lb anew, without a copy: it knows nothing, and clients keep what they
// have.
func TestXDSWithoutEtcd(t *testing.T) {
	etcd := etcdtest.StartProcess(t)
	n := r.Node(t, etcd)
	n.Start().AwaitReady()
	c := grpcShop(n, 3, "--env=TERM=finish")
	p := newControlPlane(t, n)
	b := p.start().awaitReady()
	to := p.call()
	to.goTo(c...)
	etcd.Stop()
	to.goTo(c...)
	b.Kill()
	b = p.start()
	b.awaitMetric(`eru_lb_xds_streams{protocol="sotw"} 1`)
	to.goTo(c...)
	etcd.Restart()
	c[0].Docker("stop")
	to.goTo(c[1:]...)
	to.unharmed()
}

// TestXDSDrainIsAcknowledged stops a container that takes its time: once the client has confirmed that it drains, eru-lb
// says so in etcd.
func TestXDSDrainIsAcknowledged(t *testing.T) {
	n := r.Node(t, etcdtest.StartProcess(t))
	n.Start().AwaitReady()
	c := grpcShop(n, 2, "--env=TERM=linger:3s")
	p := newControlPlane(t, n)
	p.start().awaitReady()
	to := p.call()
	to.goTo(c...)
	stopped := make(chan struct{})
	go func() { defer close(stopped); c[0].Docker("stop") }()
	var record struct {
		Kind    string           `json:"kind"`
		Drained map[string]int64 `json:"drained"`
	}
	rig.Await(t, "eru-lb to acknowledge the drain", func() error {
		e, _ := n.Last("reader/edge")
		if err := json.Unmarshal(e.Value, &record); err != nil {
			return err
		}
		if record.Kind != "xds" || record.Drained[c[0].ID] == 0 {
			return fmt.Errorf("its record is %s", e.Value)
		}
		return nil
	})
	to.goTo(c[1])
	<-stopped
	to.unharmed()
}
