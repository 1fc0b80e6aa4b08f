package monitor_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/projecteru2/eru-agent/status"
)

func TestMonitor(t *testing.T) {
	onBoth(t, map[string]func(*world){
		"a dead agent on a living host": deadAgent,
		"a dead host":                   deadHost,
		"a host that dies later":        hostDiesLater,
		"an agent that comes back":      comesBack,
		"a new agent on the node":       newAgent,
		"the monitor goes":              monitorGoes,
		"the monitor dies":              monitorDies,
		"two of three are silent":       twoOfThree,
		"nobody can be reached":         nobodyReached,
		"a node that is forgotten":      forgotten,
		"a kind that is not known here": unknownKind,
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

// hostDiesLater: the agent died first, and the containers went on.
func hostDiesLater(w *world) {
	w.node("n1").monitor()
	w.node("n2")
	n := w.node("n3")
	s := n.serve()
	near, far := n.publish("c1", status.StateHealthy, s.at), n.publish("c2", status.StateHealthy, netip.AddrPort{})
	n.end()
	w.judged("n3", status.HostAnswers)
	w.net.kill(n.addr)
	w.await(near, "lost node_lost")
	w.await(far, "lost node_lost")
}

// judged waits until a monitor has judged a node.
func (w *world) judged(node, host string) {
	w.t.Helper()
	w.eventually(node+" to be judged", func() bool {
		r, err := w.store().Roster(context.Background())
		if err != nil {
			w.t.Fatal(err)
		}
		for _, n := range r.Nodes {
			if n.Name == node && n.Silence != nil && n.Silence.Host == host {
				return true
			}
		}
		return false
	})
}

// comesBack corrects everything at once, and not with its next audit.
func comesBack(w *world) {
	w.node("n1").monitor()
	w.node("n2")
	n := w.node("n3")
	var keys []status.Key
	for _, id := range []string{"c1", "c2", "c3"} {
		keys = append(keys, n.publish(id, status.StateHealthy, netip.AddrPort{}))
	}
	w.net.kill(n.addr)
	n.setMute(true)
	for _, k := range keys {
		w.await(k, "lost node_lost")
	}
	n.setMute(false)
	for _, k := range keys {
		w.await(k, "healthy")
	}
	w.eventually("nothing to be noted of it", func() bool {
		r, err := w.store().Roster(context.Background())
		if err != nil {
			w.t.Fatal(err)
		}
		return len(r.Nodes) == 3 && r.Nodes[2].Silence == nil
	})
}

// newAgent is another process for the node, which finds what the monitor wrote.
func newAgent(w *world) {
	w.node("n1").monitor()
	w.node("n2")
	n := w.node("n3")
	k := n.publish("c1", status.StateHealthy, netip.AddrPort{})
	w.net.kill(n.addr)
	n.end()
	w.await(k, "lost node_lost")
	w.net.revive(n.addr)
	n = w.nodeAt("n3", n.addr)
	n.publish("c1", status.StateHealthy, netip.AddrPort{})
	w.await(k, "healthy")
}

// monitorGoes on purpose, and another one goes on where it was.
func monitorGoes(w *world) {
	first, second := w.node("n1"), w.node("n2")
	n := w.node("n3")
	s := n.serve()
	k := n.publish("c1", status.StateHealthy, s.at)
	_, stop := first.monitor()
	w.monitor("n1")
	reg, _ := second.monitor()
	n.end()
	s.code.Store(500)
	w.await(k, "unhealthy surrogate")
	stop()
	w.monitor("n2")
	s.code.Store(200)
	w.await(k, "healthy surrogate")
	w.metric(reg, "leader", 1)
}

// monitorDies with its node, which the next one then looks after.
func monitorDies(w *world) {
	first, second, third := w.node("n1"), w.node("n2"), w.node("n3")
	k := first.publish("c1", status.StateHealthy, netip.AddrPort{})
	_, stop := first.monitor()
	w.monitor("n1")
	second.monitor()
	third.monitor()
	w.net.kill(first.addr)
	first.end() // its session runs out; its monitor learns it from that
	w.await(k, "lost node_lost")
	stop()
}

// monitor waits until a node is the elected one's.
func (w *world) monitor(node string) {
	w.t.Helper()
	w.eventually(node+" to be elected", func() bool {
		r, err := w.store().Roster(context.Background())
		if err != nil {
			w.t.Fatal(err)
		}
		return r.Monitor != nil && r.Monitor.Node == node
	})
}

func (w *world) metric(reg *prometheus.Registry, name string, want float64) {
	w.t.Helper()
	w.eventually(name, func() bool {
		families, err := reg.Gather()
		if err != nil {
			w.t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == "eru_agent_selfmon_"+name {
				m := f.GetMetric()[0]
				return m.GetGauge().GetValue()+m.GetCounter().GetValue() == want
			}
		}
		return false
	})
}

// twoOfThree together are the network's fault; when one is back the other is
// judged.
func twoOfThree(w *world) {
	reg, _ := w.node("n1").monitor()
	second, third := w.node("n2"), w.node("n3")
	one, two := second.publish("c1", status.StateHealthy, netip.AddrPort{}), third.publish("c1", status.StateHealthy, netip.AddrPort{})
	w.net.kill(second.addr, third.addr)
	second.setMute(true)
	third.setMute(true)
	w.metric(reg, "guard_active", 1)
	<-time.After(2 * time.Second) // what is looked at: nothing happens
	for _, k := range []status.Key{one, two} {
		if got := w.state(k); got != "healthy" {
			w.t.Errorf("%s is %s", k.Node, got)
		}
	}
	w.net.revive(second.addr)
	second.setMute(false)
	w.await(two, "lost node_lost")
	w.metric(reg, "guard_active", 0)
	if got := w.state(one); got != "healthy" {
		w.t.Errorf("%s is %s", one.Node, got)
	}
}

// nobodyReached is a monitor whose own network is gone, but for the way to etcd.
func nobodyReached(w *world) {
	first, second, third := w.node("n1"), w.node("n2"), w.node("n3")
	reg, _ := first.monitor()
	k := third.publish("c1", status.StateHealthy, netip.AddrPort{})
	w.net.kill(second.addr, third.addr)
	third.end()
	w.metric(reg, "guard_active", 1)
	if got := w.state(k); got != "healthy" {
		w.t.Errorf("it is %s", got)
	}
	w.net.revive(second.addr)
	w.await(k, "lost node_lost")
}

func forgotten(w *world) {
	w.node("n1").monitor()
	w.node("n2")
	n := w.node("n3")
	k := n.publish("c1", status.StateHealthy, netip.AddrPort{})
	if _, err := w.store().Forget(w.t.Context(), "n3"); !errors.Is(err, status.ErrAlive) {
		w.t.Errorf("a live one: %v", err)
	}
	if _, err := w.store().Forget(w.t.Context(), "n4"); !errors.Is(err, status.ErrUnknown) {
		w.t.Errorf("one that never was: %v", err)
	}
	w.net.kill(n.addr)
	n.end()
	w.await(k, "lost node_lost")
	w.server.Put(w.prefix+"/drain/n3/*", "{}")
	w.server.Put(w.prefix+"/drain/n30/*", "{}")
	if gone, err := w.store().Forget(w.t.Context(), "n3"); err != nil || gone != 1 {
		w.t.Errorf("%d are gone, %v", gone, err)
	}
	for _, key := range w.server.Keys(w.prefix) {
		if strings.Contains(key, "/n3") && !strings.Contains(key, "/n30") {
			w.t.Errorf("left: %s", key)
		}
	}
	if keys := w.server.Keys(w.prefix + "/drain/"); len(keys) != 1 {
		w.t.Errorf("of another node is left: %v", keys)
	}
	w.nodeAt("n3", n.addr).publish("c1", status.StateHealthy, netip.AddrPort{})
	w.await(k, "healthy")
}

// unknownKind is a check that this agent's owner has not compiled in.
func unknownKind(w *world) {
	w.node("n1").monitor()
	w.node("n2")
	n := w.node("n3")
	k := n.key("c1")
	n.Set(k, status.Status{ID: "c1", State: status.StateHealthy, Since: time.Now(), Started: time.Now(),
		Check: []byte(`{"interval":"1s","timeout":"1s","probes":[{"kind":"dubbo","settings":{"port":"20880"},"at":{"20880":"` + netip.AddrPortFrom(n.addr, 1).String() + `"}}]}`)}, time.Now())
	n.settle()
	n.end()
	w.judged("n3", status.HostAnswers)
	if got := w.state(k); got != "healthy" {
		w.t.Errorf("it is %s", got)
	}
	w.net.kill(n.addr)
	w.await(k, "lost node_lost")
}
