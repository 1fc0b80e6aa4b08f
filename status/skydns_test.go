package status_test

import (
	"strings"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/status"
)

func TestSkyDNS(t *testing.T) {
	onBoth(t, map[string]func(*testing.T, *env){
		"a host while it is healthy, and none else": hostWhileHealthy,
		"switched on and off, written once":         skyDNSSwitched,
		"foreign changes are written again":         skyDNSForeign,
	})
}

func hostWhileHealthy(t *testing.T, e *env) {
	w := projecting(t, e, "n1", status.SkyDNS)
	w.run(adoptNothing)
	k := hexed("shop", "n1", 1)
	for _, c := range []struct {
		state   status.State
		address string
		want    status.DNS
	}{
		{status.StateStarting, "10.0.0.5:80", status.DNS{}},
		{status.StateHealthy, "10.0.0.5:80", status.DNS{Host: "10.0.0.5", Port: 80, TTL: 1, TargetStrip: 1}},
		{status.StateUnhealthy, "10.0.0.5:80", status.DNS{}},
		{status.StateHealthy, "[fd00::7]:443", status.DNS{Host: "fd00::7", Port: 443, TTL: 1, TargetStrip: 1}},
		{status.StateDraining, "10.0.0.5:80", status.DNS{}},
		{status.StateHealthy, "spoilt", status.DNS{}},
		{status.StateStopped, "10.0.0.5:80", status.DNS{}},
	} {
		w.setAt(k, c.state, c.address)
		w.settle()
		value, _ := e.get(path(k))
		s, err := status.Decode([]byte(value))
		if err != nil || s.DNS != c.want || strings.Contains(value, `"host"`) != (c.want.Host != "") {
			t.Errorf("%s at %s: %s, %v; want %+v", c.state, c.address, value, err, c.want)
		}
	}
}

// skyDNSSwitched restarts an agent with and without SkyDNS.
func skyDNSSwitched(t *testing.T, e *env) {
	k := hexed("shop", "n1", 1)
	run := func(host bool, revisions int64, projections ...status.Projection) {
		t.Helper()
		_, before := e.get(path(k))
		w := projecting(t, e, "n1", projections...)
		w.SetAuditEvery(time.Millisecond)
		w.setAt(k, status.StateHealthy, "10.0.0.5:80")
		stop := w.run(adoptNothing)
		w.settle()
		stop()
		value, after := e.get(path(k))
		if strings.Contains(value, `"host":"10.0.0.5","port":80,"ttl":1,"targetstrip":1,`) != host {
			t.Errorf("it is %s", value)
		}
		if (after != before) != (revisions == 1) {
			t.Errorf("from revision %d to %d, want %d writes", before, after, revisions)
		}
		if n := w.metric("publish_keys_total"); n != float64(revisions) {
			t.Errorf("%v keys were written, want %d", n, revisions)
		}
	}
	run(false, 1)
	run(true, 1, status.SkyDNS)
	run(true, 0, status.SkyDNS)
	run(false, 1)
	run(false, 0)
}

func skyDNSForeign(t *testing.T, e *env) {
	w := projecting(t, e, "n1", status.SkyDNS)
	w.SetAuditEvery(10 * time.Millisecond)
	w.run(adoptNothing)
	k := hexed("shop", "n1", 1)
	w.setAt(k, status.StateUnhealthy, "10.0.0.5:80")
	w.settle()
	good, _ := e.get(path(k))
	e.put(path(k), strings.Replace(good, `"seq":`, `"host":"10.0.0.5","seq":`, 1))
	eventually(t, "the host is taken out again", func() bool {
		value, _ := e.get(path(k))
		return !strings.Contains(value, `"host"`)
	})
	eventually(t, "it is counted", func() bool { return w.metric("publish_foreign_total") == 1 })
}
