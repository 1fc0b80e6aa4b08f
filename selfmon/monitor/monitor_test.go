package monitor_test

import (
	"net/netip"
	"testing"

	"github.com/projecteru2/eru-agent/status"
)

func TestMonitor(t *testing.T) {
	onBoth(t, map[string]func(*world){
		"a dead agent on a living host": deadAgent,
		"a dead host":                   deadHost,
	})
}

// deadAgent leaves containers alone that answer, or that nobody else can ask.
func deadAgent(w *world) {
	w.node("n1").monitor()
	w.node("n2")
	n := w.node("n3")
	one, two := n.serve(), n.serve()
	asked, other := n.publish("c1", status.StateHealthy, one.at), n.publish("c2", status.StateHealthy, two.at)
	far := n.publish("c3", status.StateHealthy, netip.AddrPort{})
	n.end()
	two.code.Store(500)
	w.await(other, "unhealthy surrogate")
	for k, want := range map[status.Key]string{asked: "healthy", far: "healthy"} {
		if got := w.state(k); got != want {
			w.t.Errorf("%s is %s", k.ID, got)
		}
	}
	two.code.Store(200)
	w.await(other, "healthy surrogate")
	one.code.Store(404)
	w.await(asked, "unhealthy surrogate")
}

func deadHost(w *world) {
	w.node("n1").monitor()
	w.node("n2")
	n := w.node("n3")
	s := n.serve()
	states := []status.State{status.StateHealthy, status.StateUnhealthy, status.StateStarting, status.StateDraining, status.StatePaused, status.StateInvalid, status.StateStopped}
	var keys []status.Key
	for _, state := range states {
		keys = append(keys, n.publish(string(state), state, s.at))
	}
	w.net.kill(n.addr)
	n.end()
	for _, k := range keys {
		if k.ID == string(status.StateStopped) {
			continue
		}
		w.await(k, "lost node_lost")
	}
	if got := w.state(keys[len(keys)-1]); got != "stopped" {
		w.t.Errorf("a stopped container is %s", got)
	}
}
