package lb_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/projecteru2/eru-agent/lb"
	"github.com/projecteru2/eru-agent/status"
)

// TestWhenItApplies counts how often the Outlet is called.
func TestWhenItApplies(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		want(t, "at start", b.outlet.times(), 1)
		want(t, "services of which nothing is known", len(b.outlet.last()), 0)
		b.view.knows(service(1, healthy()))
		synctest.Wait()
		want(t, "after a change", b.outlet.times(), 2)
		b.view.is(status.ViewState{Lost: errors.New("etcd is away"), Revision: 1}, b.outlet.last()...)
		synctest.Wait()
		want(t, "after news of etcd alone", b.outlet.times(), 2)
		b.outlet.lost <- struct{}{}
		synctest.Wait()
		want(t, "after a loss", b.outlet.times(), 3)
		<-time.After(time.Minute)
		synctest.Wait()
		want(t, "after a minute", b.outlet.times(), 4)
	})
}

// TestCheckAfterChange changes something while an Apply is under way at the full minute: it is applied, and all is looked
// at too.
func TestCheckAfterChange(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.view.mu.Lock() // silently, so that the minute comes first
		b.view.services, b.view.state = []*status.Service{service(1, healthy())}, status.ViewState{Synced: true, Revision: 1}
		b.view.mu.Unlock()
		<-time.After(time.Minute)
		synctest.Wait()
		want(t, "applied", b.outlet.times(), 3)
	})
}

// TestRetries has the Outlet fail for a while; what is newest is tried again, ever more seldom, and at once when something
// changes.
func TestRetries(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.outlet.fail(errors.New("it is broken"))
		b.view.knows(service(1, healthy()))
		synctest.Wait()
		begun, first := time.Now(), b.outlet.times()
		var after []time.Duration
		for len(after) < 7 {
			<-time.After(250 * time.Millisecond)
			synctest.Wait()
			if n := b.outlet.times(); n > first {
				first = n
				after = append(after, time.Since(begun))
				begun = time.Now()
			}
		}
		for i, w := range []time.Duration{250, 500, 1000, 2000, 4000, 8000, 8000} {
			want(t, "wait", after[i], w*time.Millisecond)
		}
		b.view.knows(service(2, healthy(), healthy()))
		synctest.Wait()
		want(t, "after a change", b.outlet.times(), first+1)
		if err := b.Ready(); err == nil || err.Error() != "it is broken" {
			t.Errorf("ready: %v", err)
		}
		b.outlet.fail(nil)
		<-time.After(8 * time.Second)
		synctest.Wait()
		want(t, "after it is mended", b.outlet.times(), first+2)
		want(t, "ready", b.Ready(), nil)
		want(t, "how often it was named", b.log.FilterMessage("the proxy is not as it should be").Len(), 1)
		want(t, "how often its end was named", b.log.FilterMessage("that is over").Len(), 1)
	})
}

// TestHangingOutlet bounds an Apply, and ends in the middle of one.
func TestHangingOutlet(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.outlet.takes = time.Hour
		b.view.knows(service(1, healthy()))
		<-time.After(11 * time.Second)
		if err := b.Ready(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ready: %v", err)
		}
	})
}

// TestNothingIsKnown leaves alone what it knows nothing of, and takes an empty service at its word once etcd has been read.
func TestNothingIsKnown(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		want(t, "ready", b.Ready().Error(), "etcd: nothing has been read of shop/web")
		b.view.knows()
		synctest.Wait()
		want(t, "ready", b.Ready(), nil)
		want(t, "services", len(b.outlet.last()), 1)
		want(t, "its servers", len(b.outlet.last()[0].Servers), 0)
		want(t, "how often it was named", b.log.FilterMessage("the proxy is not as it should be").Len(), 1)
		b.view.knows()
		synctest.Wait()
		want(t, "applied", b.outlet.times(), 2)
	})
}

// TestAcknowledge looks at what is said of draining containers.
func TestAcknowledge(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		r := <-b.records
		if r.Kind != "test" || len(r.Follows) != 1 || r.Follows[0] != "shop/web" || len(r.Drained) != 0 {
			t.Errorf("at start: %+v", r)
		}
		unhealthy := status.Server{Status: status.Status{State: status.StateUnhealthy}}
		b.view.knows(service(5, healthy(), draining(5), unhealthy))
		drained(t, b, map[string]int64{"b": 5})
		b.view.knows(service(6, healthy(), draining(5), healthy()))
		synctest.Wait()
		want(t, "records when nothing drains anew", len(b.records), 0)

		b.outlet.fail(errors.Join(errors.New("nothing is certain"), &lb.ServiceError{App: "shop", Entrypoint: "web", Err: errors.New("x")}))
		b.view.knows(service(7, draining(7), draining(5)))
		synctest.Wait()
		want(t, "records when the proxy is not there", len(b.records), 0)
		b.outlet.fail(&lb.ServiceError{App: "shop", Entrypoint: "web", Err: errors.New("no slot")})
		b.view.knows(service(8, draining(7), draining(8), healthy()))
		synctest.Wait()
		want(t, "records when its service was not applied", len(b.records), 0)
		b.outlet.fail(errors.Join(&lb.ServiceError{App: "shop", Entrypoint: "api", Err: errors.New("no slot")}, &lb.Beside{Err: errors.New("no disk")}))
		b.view.knows(service(9, draining(7), draining(8), healthy()))
		drained(t, b, map[string]int64{"a": 7, "b": 8})
		b.view.knows(service(10, healthy()))
		drained(t, b, map[string]int64{})
	})
}

func drained(t *testing.T, b *bench, revisions map[string]int64) {
	t.Helper()
	synctest.Wait()
	want(t, "records", len(b.records), 1)
	if r := <-b.records; !maps.Equal(r.Drained, revisions) {
		t.Errorf("drained is %v, want %v", r.Drained, revisions)
	}
}

// TestAlive asks the loop while it turns and while it waits for the proxy.
func TestAlive(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		want(t, "alive", b.Alive(t.Context()), nil)
	})
}

// TestMetrics looks at all that is said, and that nothing is left of a service that is gone.
func TestMetrics(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		s := service(7, healthy(), draining(6), status.Server{Use: status.UseReady, Status: status.Status{State: status.StateUnhealthy}}, status.Server{})
		s.Panic = true
		b.outlet.takes = time.Millisecond
		b.view.is(status.ViewState{Synced: true, Revision: 9, Unreadable: map[string]uint64{"json": 2}}, s)
		<-time.After(time.Second)
		const names = "eru_lb_servers eru_lb_servers_kept eru_lb_service_panic eru_lb_services_without_containers eru_lb_etcd_synced eru_lb_applied_revision eru_lb_seen_revision eru_lb_unreadable_total eru_lb_applies_total eru_lb_apply_errors_total"
		if err := testutil.GatherAndCompare(b.reg, strings.NewReader(`
# HELP eru_lb_applied_revision etcd's revision of the newest change that was applied.
# TYPE eru_lb_applied_revision gauge
eru_lb_applied_revision 7
# HELP eru_lb_applies_total How often the proxy was brought to what etcd says, or was to be.
# TYPE eru_lb_applies_total counter
eru_lb_applies_total 2
# HELP eru_lb_etcd_synced 1 if all that is followed is as etcd has it, 0 if etcd cannot be followed.
# TYPE eru_lb_etcd_synced gauge
eru_lb_etcd_synced 1
# HELP eru_lb_seen_revision The highest revision of etcd that was heard of.
# TYPE eru_lb_seen_revision gauge
eru_lb_seen_revision 9
# HELP eru_lb_servers Servers by what the proxy does with them.
# TYPE eru_lb_servers gauge
eru_lb_servers{app="shop",entrypoint="web",use="drain"} 1
eru_lb_servers{app="shop",entrypoint="web",use="none"} 1
eru_lb_servers{app="shop",entrypoint="web",use="ready"} 2
# HELP eru_lb_servers_kept Servers that are used although they are not healthy.
# TYPE eru_lb_servers_kept gauge
eru_lb_servers_kept{app="shop",entrypoint="web"} 1
# HELP eru_lb_service_panic 1 while so many containers of a service are unhealthy that its last set is kept: alert on it.
# TYPE eru_lb_service_panic gauge
eru_lb_service_panic{app="shop",entrypoint="web"} 1
# HELP eru_lb_services_without_containers Services that are followed and have no container.
# TYPE eru_lb_services_without_containers gauge
eru_lb_services_without_containers 0
# HELP eru_lb_unreadable_total Values, keys and addresses in etcd that could not be read, by why.
# TYPE eru_lb_unreadable_total counter
eru_lb_unreadable_total{why="address"} 0
eru_lb_unreadable_total{why="contradiction"} 0
eru_lb_unreadable_total{why="json"} 2
eru_lb_unreadable_total{why="key"} 0
eru_lb_unreadable_total{why="size"} 0
eru_lb_unreadable_total{why="version"} 0
# HELP eru_lb_apply_errors_total What the proxy did not take, by why.
# TYPE eru_lb_apply_errors_total counter
eru_lb_apply_errors_total{why="other"} 0
eru_lb_apply_errors_total{why="tired"} 0
`), strings.Fields(names)...); err != nil {
			t.Error(err)
		}
		b.outlet.fail(errors.Join(&lb.ServiceError{App: "shop", Entrypoint: "web", Err: errors.New("x")}, errors.New("y")))
		b.view.is(status.ViewState{Revision: 9})
		<-time.After(100 * time.Millisecond)
		if err := testutil.GatherAndCompare(b.reg, strings.NewReader(`
# HELP eru_lb_apply_errors_total What the proxy did not take, by why.
# TYPE eru_lb_apply_errors_total counter
eru_lb_apply_errors_total{why="other"} 2
eru_lb_apply_errors_total{why="tired"} 0
# HELP eru_lb_etcd_synced 1 if all that is followed is as etcd has it, 0 if etcd cannot be followed.
# TYPE eru_lb_etcd_synced gauge
eru_lb_etcd_synced 0
# HELP eru_lb_services_without_containers Services that are followed and have no container.
# TYPE eru_lb_services_without_containers gauge
eru_lb_services_without_containers 1
# HELP eru_lb_servers Servers by what the proxy does with them.
# TYPE eru_lb_servers gauge
eru_lb_servers{app="shop",entrypoint="web",use="drain"} 0
eru_lb_servers{app="shop",entrypoint="web",use="none"} 0
eru_lb_servers{app="shop",entrypoint="web",use="ready"} 0
`), "eru_lb_servers", "eru_lb_services_without_containers", "eru_lb_etcd_synced", "eru_lb_apply_errors_total"); err != nil {
			t.Error(err)
		}
	})
}
