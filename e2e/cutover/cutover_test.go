package cutover

import (
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// TestCutover kills one of five containers, stops one and starts one, and no request is lost.
func TestCutover(t *testing.T) {
	n := r.Node(t, etcdtest.StartProcess(t))
	n.Start().AwaitReady()
	c := shop(n, 5)
	p := startProxy(t)
	b := startBalancer(t, n, p).awaitReady()
	p.awaitIn(c...)
	underLoad(t, p, func() {
		settle(500 * time.Millisecond)
		c[0].Docker("kill")
		p.awaitIn(c[1:]...)
		c[0].Docker("rm")
		c[1].Docker("stop")
		p.awaitIn(c[2:]...)
		c = append(c, shop(n, 1)...)
		p.awaitIn(c[2:]...)
		settle(500 * time.Millisecond)
	})
	b.awaitMetric(`eru_lb_servers{app="shop",entrypoint="web",use="ready"} 4`)
}
