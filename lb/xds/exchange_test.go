package xds_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"

	"github.com/projecteru2/eru-agent/lb"
	"github.com/projecteru2/eru-agent/status"
)

// names of the endpoints in an answer.
func names(t *testing.T, a answer) string {
	t.Helper()
	var list []string
	for _, r := range a.resources {
		list = append(list, valid(t, r).(*endpoint.ClusterLoadAssignment).ClusterName)
	}
	return strings.Join(list, " ")
}

func TestOnlyWhatHasChangedIsSent(t *testing.T) {
	eachProtocol(t, func(t *testing.T, open func(*outlet, string) stream) {
		cfg := web()
		cfg.Routes = append(cfg.Routes, lb.Route{App: "shop", Entrypoint: "api", Backend: "shop-api"})
		o := start(t, cfg)
		api := &status.Service{App: "shop", Entrypoint: "api", Servers: []status.Server{ready("api", "10.0.0.9:80")}}
		one := service(ready("a", "10.0.0.1:80"))
		o.apply(one, api)
		s := open(o, "c")
		s.ask(resource.EndpointType, "shop-web", "shop-api")
		first := s.answer()
		if len(first.resources) != 2 {
			t.Fatalf("%d resources", len(first.resources))
		}
		s.confirm(first)
		o.apply(one, api)                                  // the same
		o.apply(service(ready("a", "10.0.0.1:80")), api)   // reads the same
		o.apply(api)                                       // one is not known any more
		o.apply(service(ready("a", "10.0.0.1:8080")), api) // another
		second := s.answer()
		if got := names(t, second); got != "shop-web" {
			t.Errorf("sent %q", got)
		}
		if second.version <= first.version {
			t.Errorf("version %s after %s", second.version, first.version)
		}
		s.confirm(second)
		o.apply(service(), api)
		if got := brief(valid(t, s.answer().resources[0]).(*endpoint.ClusterLoadAssignment)); got != "" {
			t.Errorf("a service without containers has %s", got)
		}
	})
}

// TestNothingIsSaidOfWhatIsNotKnown is what keeps clients' sets over a restart.
func TestNothingIsSaidOfWhatIsNotKnown(t *testing.T) {
	eachProtocol(t, func(t *testing.T, open func(*outlet, string) stream) {
		o := start(t, web())
		o.apply()
		s := open(o, "c")
		s.ask(resource.EndpointType, "shop-web")
		silence(t, s)
		o.apply(service(ready("a", "10.0.0.1:80")))
		if got := brief(valid(t, s.answer().resources[0]).(*endpoint.ClusterLoadAssignment)); got != "n1/1: 10.0.0.1:80 healthy" {
			t.Errorf("served %s", got)
		}
	})
}

// TestVersionsOverARestart: a client comes back with a version of the former
// process, and hears nothing before the service is known.
func TestVersionsOverARestart(t *testing.T) {
	before := start(t, web())
	before.apply(service(ready("a", "10.0.0.1:80")))
	s := openSotw(t, before, "c")
	s.ask(resource.EndpointType, "shop-web")
	old := s.answer()
	before.stop()

	cfg := web()
	cfg.Addr = before.Addr().String()
	after := start(t, cfg)
	s = openSotw(t, after, "c")
	s.version[resource.EndpointType] = old.version
	s.ask(resource.EndpointType, "shop-web")
	silence(t, s)
	after.apply(service(ready("a", "10.0.0.1:80")))
	if now := s.answer(); now.version <= old.version {
		t.Errorf("version %s after %s", now.version, old.version)
	}
}

func TestARefusalIsCountedNamedOnceAndNotRepeated(t *testing.T) {
	for _, typeURL := range []string{resource.EndpointType, resource.ClusterType, resource.ListenerType, resource.RouteType} {
		short := typeURL[strings.LastIndexByte(typeURL, '.')+1:]
		t.Run(short, func(t *testing.T) {
			eachProtocol(t, func(t *testing.T, open func(*outlet, string) stream) {
				o := start(t, web())
				o.apply(service(ready("a", "10.0.0.1:80")))
				for range 2 { // the second time it has come back
					s := open(o, "fussy")
					s.ask(typeURL, "shop-web")
					s.refuse(s.answer(), "not for me")
					if typeURL == resource.RouteType {
						s.ask(resource.ClusterType)
						if a := s.answer(); a.typeURL != resource.ClusterType {
							t.Fatal("repeated")
						}
					} else {
						silence(t, s)
					}
					s.close()
				}
				want := "# HELP eru_lb_xds_refused_total Answers that a client of xDS refused (NACK), by type of resource.\n# TYPE eru_lb_xds_refused_total counter\n"
				for _, name := range []string{"Cluster", "ClusterLoadAssignment", "Listener", "RouteConfiguration", "other"} {
					want += fmt.Sprintf("eru_lb_xds_refused_total{type=%q} %d\n", name, map[bool]int{name == short: 2}[true])
				}
				if err := testutil.CollectAndCompare(o, strings.NewReader(want), "eru_lb_xds_refused_total"); err != nil {
					t.Error(err)
				}
				said := o.logs.FilterField(zap.String("client", "fussy")).FilterField(zap.String("why", "not for me")).FilterField(zap.String("type", short)).Len()
				if said != 1 || o.logs.Len() != 1 {
					t.Errorf("said %d times, of %d lines", said, o.logs.Len())
				}
			})
		})
	}
}

// TestARefusalIsNamedAgain once the client had taken something.
func TestARefusalIsNamedAgain(t *testing.T) {
	o := start(t, web())
	s := openSotw(t, o, "fussy")
	s.ask(resource.EndpointType, "shop-web")
	for i, takes := range []bool{false, false, true, false} {
		o.apply(service(ready("a", fmt.Sprintf("10.0.0.1:%d", 80+i))))
		if a := s.answer(); takes {
			s.confirm(a)
		} else {
			s.refuse(a, "no")
		}
	}
	within(t, "two lines are said", func() bool { return o.logs.Len() == 2 })
}

func TestConfirmed(t *testing.T) {
	for name, c := range map[string]struct {
		within time.Duration
		then   func(stream, answer)
		late   int
	}{
		"confirms":    {then: func(s stream, a answer) { s.confirm(a) }},
		"refuses":     {then: func(s stream, a answer) { s.refuse(a, "no") }},
		"goes":        {then: func(s stream, _ answer) { s.close() }},
		"says naught": {within: 50 * time.Millisecond, then: func(stream, answer) {}, late: 1},
	} {
		t.Run(name, func(t *testing.T) {
			eachProtocol(t, func(t *testing.T, open func(*outlet, string) stream) {
				cfg := web()
				cfg.ConfirmWithin = c.within
				o := start(t, cfg)
				first := service(ready("a", "10.0.0.1:80"))
				o.apply(first)
				o.confirmed(first) // by nobody
				slow, quick, other := open(o, "slow"), open(o, "quick"), open(o, "other")
				for _, s := range []stream{slow, quick} {
					s.ask(resource.EndpointType, "shop-web")
					s.confirm(s.answer())
					silence(t, s)
				}
				other.ask(resource.EndpointType, "another") // is not waited for
				silence(t, other)

				second := service(server("a", "10.0.0.1:80", status.UseDrain, status.StateDraining))
				o.apply(second)
				quick.confirm(quick.answer())
				got := slow.answer()
				if c.late == 0 {
					within(t, "the quick one's confirmation is heard", func() bool { return strings.Contains(metrics(t, o), `client="quick"} 2`) })
					select {
					case <-o.Confirmed():
						t.Fatal("confirmed without the slow one")
					default:
					}
				}
				c.then(slow, got)
				o.confirmed(second)
				late := func() int {
					return o.logs.FilterMessageSnippet("in time").FilterField(zap.String("client", "slow")).Len()
				}
				if n := late(); n != c.late {
					t.Errorf("said to be late %d times", n)
				}

				if c.late == 0 {
					return
				}
				// Who was late is not waited for again, until it has confirmed something.
				third, fourth := service(), service(ready("a", "10.0.0.1:80"))
				o.apply(third)
				quick.confirm(quick.answer())
				o.confirmed(third)
				slow.confirm(got)
				slow.confirm(slow.answer())
				silence(t, slow)
				o.apply(fourth)
				quick.confirm(quick.answer())
				o.confirmed(fourth)
				if n := late(); n != 2 {
					t.Errorf("said to be late %d times", n)
				}
			})
		})
	}
}

// TestConfirmedInOrder: a change that all have taken is confirmed while a later
// one is still under way, and the later ones at once.
func TestConfirmedInOrder(t *testing.T) {
	eachProtocol(t, func(t *testing.T, open func(*outlet, string) stream) {
		o := start(t, web())
		o.apply(service(ready("a", "10.0.0.1:80")))
		s := open(o, "c")
		s.ask(resource.EndpointType, "shop-web")
		s.confirm(s.answer())
		silence(t, s)
		<-o.Confirmed()

		two, three := service(ready("a", "10.0.0.1:81")), service(ready("a", "10.0.0.1:82"))
		o.apply(two)
		a := s.answer()
		o.apply(three)
		s.confirm(a)
		o.confirmed(two)
		s.confirm(s.answer())
		o.confirmed(three)
	})
}

func TestWhoStopsFollowingIsNotWaitedFor(t *testing.T) {
	o := start(t, web())
	o.apply(service(ready("a", "10.0.0.1:80")))
	s := openDelta(t, o, "c")
	s.ask(resource.EndpointType, "shop-web")
	s.confirm(s.answer())
	silence(t, s)
	<-o.Confirmed()

	next := service()
	o.apply(next)
	s.answer() // and says nothing to it
	s.send(&discovery.DeltaDiscoveryRequest{TypeUrl: resource.EndpointType, ResourceNamesUnsubscribe: []string{"shop-web"}})
	o.confirmed(next)
}

// TestARequestThatCrossesAnAnswer is passed over: the answer is still to be
// confirmed.
func TestARequestThatCrossesAnAnswer(t *testing.T) {
	o := start(t, web())
	o.apply(service(ready("a", "10.0.0.1:80")))
	s := openSotw(t, o, "c")
	s.ask(resource.EndpointType, "shop-web")
	first := s.answer()
	s.confirm(first)
	silence(t, s)
	<-o.Confirmed()

	next := service()
	o.apply(next)
	a := s.answer()
	s.names[resource.EndpointType] = []string{"another"}
	s.confirm(first)
	silence(t, s)
	select {
	case <-o.Confirmed():
		t.Fatal("confirmed by a request that was made before")
	default:
	}
	s.confirm(a)
	o.confirmed(next)
}
