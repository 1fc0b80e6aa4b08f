package chaos

import (
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

// The oracle: what etcd must hold of a container is a function of what the container is and how it answers. It is written
// from the contract and shares nothing with the agent, not even the reading of labels: a kind of container says itself
// what its labels mean.

// facts are all that etcd's content follows from.
type facts struct {
	dockertest.Container
	kind kind
	oom  bool // its last end was the kernel's OOM killer's
	// lender is the container whose network it has, nil if that does not run.
	lender *facts
	// answers is how it answers at an address: "ok", a status code, "silent" or "reset".
	answers func(address string) string
	past    past
}

// past is what matters of how this life has gone so far. Whether a container has ever passed is the agent's to know, as far
// as it was there to see; what it may know has bounds.
type past struct {
	mayPass  bool // at some time it answered so that a probe would pass
	passed   bool // etcd has held healthy or unhealthy of it
	asked    bool // it was sent a signal that asks it to stop
	paused   bool
	dead     bool
	stopped  bool // etcd has held stopped of it
	tampered bool // somebody else wrote its key
}

// outcome is a state and its reason.
type outcome struct{ state, reason string }

// want is what etcd must hold of a container that it holds anything of.
type want struct {
	service  service
	outcomes []outcome // one of them
	// networks and endpoints are nil for a container that has ended: Docker does not tell them any more.
	networks, endpoints map[string]string
}

// expected is what must stand in etcd; nil for nothing.
func expected(c facts) *want {
	w := &want{service: c.kind.service(c.Name), outcomes: c.outcomes()}
	switch {
	case !c.kind.ours, c.Starts == 0:
		return nil
	case c.alive():
		w.networks, w.endpoints = c.networks(), c.endpoints()
	}
	return w
}

func (c facts) alive() bool { return c.Status == "running" || c.Status == "paused" }

// outcomes are the states that it may be in once all is quiet. They are more than one only where the contract leaves it to
// what the probes happened to see.
func (c facts) outcomes() []outcome {
	switch {
	case !c.alive() && c.oom && c.ExitCode == 137:
		return []outcome{{"stopped", "oom"}}
	case !c.alive():
		return []outcome{{"stopped", "exited"}}
	case c.kind.invalid:
		return []outcome{{"invalid", "label"}}
	case c.Status == "paused":
		return []outcome{{"paused", "paused"}}
	case c.kind.fault == nil:
		return []outcome{{"healthy", ""}}
	case c.address() == "":
		return c.failing("no_address")
	}
	reason := c.kind.fault(c.answers(c.address()))
	if reason == "" {
		return []outcome{{"healthy", ""}}
	}
	all := c.failing(reason)
	if c.past.asked { // it has outlived its stop and does not pass
		all = append(all, outcome{"draining", "stop_signal"})
	}
	return all
}

// failing is starting for a container that has not passed and unhealthy for one that has. An agent that finds a container
// draining or paused takes it for one that has.
func (c facts) failing(reason string) []outcome {
	var all []outcome
	p := c.past
	if !p.passed || p.tampered {
		all = append(all, outcome{"starting", reason})
	}
	if p.mayPass || p.passed || p.asked || p.paused || p.tampered {
		all = append(all, outcome{"unhealthy", reason})
	}
	return all
}

// networks are the addresses that the node knows it by.
func (c facts) networks() map[string]string {
	switch {
	case c.kind.shares && c.lender == nil:
		return map[string]string{}
	case c.kind.shares:
		return c.lender.networks()
	case c.kind.mode == "host":
		return map[string]string{"host": rig.NodeIP}
	}
	found := maps.Clone(c.Networks)
	maps.DeleteFunc(found, func(_, address string) bool { return address == "" })
	return found
}

// address is where it is probed: in the network that its label names, else in that of its mode, else in the first one.
func (c facts) address() string {
	switch {
	case c.kind.shares && c.lender == nil:
		return ""
	case c.kind.shares:
		return c.lender.address()
	case c.kind.mode == "host":
		return "127.0.0.1"
	}
	all := c.networks()
	if wanted := c.kind.labels["eru.health.network"]; wanted != "" {
		return all[wanted]
	}
	if address := all[c.kind.network()]; address != "" {
		return address
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		return all[name]
	}
	return ""
}

// endpoints are what a proxy on another host dials: where the node publishes a port, else the container's address.
func (c facts) endpoints() map[string]string {
	found := map[string]string{}
	for _, port := range c.kind.publish {
		address := c.address()
		if c.kind.mode == "host" || c.lender != nil && c.lender.kind.mode == "host" {
			address = rig.NodeIP
		}
		if public := c.published(port); public != "" {
			found[port] = public
		} else if address != "" {
			found[port] = net.JoinHostPort(address, port)
		}
	}
	return found
}

func (c facts) published(port string) string {
	if c.lender != nil {
		return c.lender.published(port)
	}
	for _, p := range c.kind.ports {
		if strconv.Itoa(int(p.Private)) == port && !strings.HasPrefix(p.HostIP, "127.") {
			return net.JoinHostPort(rig.NodeIP, strconv.Itoa(int(p.Public)))
		}
	}
	return ""
}
