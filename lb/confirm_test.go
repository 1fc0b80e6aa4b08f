package lb_test

import (
	"testing"
	"testing/synctest"

	"github.com/projecteru2/eru-agent/lb"
	"github.com/projecteru2/eru-agent/status"
)

// confirmer is an outlet whose proxies confirm when the test says so.
type confirmer struct {
	*outlet

	confirmed chan []*status.Service
}

func (c confirmer) Confirmed() <-chan []*status.Service { return c.confirmed }

// TestConfirmed: what was applied is not acknowledged before the proxies have it.
func TestConfirmed(t *testing.T) {
	var confirmed chan []*status.Service
	of := func(o *outlet) lb.Outlet {
		confirmed = make(chan []*status.Service)
		return confirmer{o, confirmed}
	}
	runWith(t, of, func(t *testing.T, b *bench) {
		<-b.records // at start
		first := service(5, healthy(), draining(5))
		b.view.knows(first)
		synctest.Wait()
		want(t, "applied", b.outlet.last()[0], first)
		want(t, "records before it is confirmed", len(b.records), 0)
		b.view.knows(service(6, draining(6), draining(5)))
		synctest.Wait()
		confirmed <- []*status.Service{first}
		drained(t, b, map[string]int64{"b": 5})
	})
}
