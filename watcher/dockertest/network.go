package dockertest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/events"
)

// network is one network of the model.
type network struct {
	id, name, driver string
	created          time.Time
	clock            func() time.Time
}

// endpoint is a container's place in a network. The addresses are empty while the container does not run.
type endpoint struct {
	networkID, id string
	ipv4, ipv6    string
	wanted        string // As the test gave it; "" for an address of the pool.
}

func (s *Server) newNetwork(name, driver string) *network {
	return &network{id: makeID("network", name), name: name, driver: driver, created: s.cfg.Clock(), clock: s.cfg.Clock}
}

// AddNetwork creates a network with a driver of its own, such as macvlan. Networks that containers name are otherwise
// created as bridges.
func (s *Server) AddNetwork(name, driver string) {
	s.mu.Lock()
	s.publishAndUnlock(s.addNetworkLocked(name, driver))
}

func (s *Server) addNetworkLocked(name, driver string) []events.Message {
	if s.networks[name] != nil {
		return nil
	}
	n := s.newNetwork(name, driver)
	s.networks[name] = n
	return []events.Message{n.event(events.ActionCreate, "")}
}

// RemoveNetwork destroys a network that no container is in any more.
func (s *Server) RemoveNetwork(name string) bool {
	s.mu.Lock()
	n := s.networks[name]
	if n == nil {
		s.mu.Unlock()
		return false
	}
	delete(s.networks, name)
	s.publishAndUnlock([]events.Message{n.event(events.ActionDestroy, "")})
	return true
}

// attachLocked settles a new container's network mode and networks and creates those that do not exist.
func (s *Server) attachLocked(c *container) []events.Message {
	wanted := c.spec.Networks
	c.mode = c.spec.NetworkMode
	if c.mode == "" {
		c.mode = modeOf(wanted)
	}
	target, shared := strings.CutPrefix(c.mode, "container:")
	if owner := s.findLocked(target); shared && owner != nil {
		c.mode = "container:" + owner.id
	}
	if len(wanted) == 0 && !shared {
		wanted = map[string]string{networkOf(c.mode): ""}
	}
	var messages []events.Message
	c.state.endpoints = map[string]endpoint{}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		messages = append(messages, s.addNetworkLocked(name, "bridge")...)
		c.state.endpoints[name] = endpoint{wanted: wanted[name]}
	}
	return messages
}

func modeOf(networks map[string]string) string {
	if _, ok := networks["bridge"]; ok || len(networks) == 0 {
		return "default"
	}
	return slices.Min(slices.Collect(maps.Keys(networks)))
}

func networkOf(mode string) string {
	if mode == "default" {
		return "bridge"
	}
	return mode
}

// plugLocked gives a container that starts its addresses.
func (s *Server) plugLocked(c *container) []events.Message {
	var messages []events.Message
	endpoints := make(map[string]endpoint, len(c.state.endpoints))
	for _, name := range c.networkNames() {
		e := c.state.endpoints[name]
		if address, ok := c.next.Networks[name]; ok {
			e.wanted = address
		}
		endpoints[name] = s.addressLocked(c, name, e)
		messages = append(messages, s.networks[name].event(events.ActionConnect, c.id))
	}
	c.state.endpoints = endpoints
	return messages
}

// networkNames has the network of the container's mode first, as Docker connects it first.
func (c *container) networkNames() []string {
	first := networkOf(c.mode)
	names := slices.Sorted(maps.Keys(c.state.endpoints))
	slices.SortStableFunc(names, func(a, b string) int {
		switch {
		case a == first && b != first:
			return -1
		case b == first && a != first:
			return 1
		}
		return 0
	})
	return names
}

func (s *Server) addressLocked(c *container, name string, e endpoint) endpoint {
	n := s.networks[name]
	e.networkID = n.id
	e.id = makeID("endpoint", fmt.Sprint(c.id, name, c.starts))
	if n.driver == "host" || n.driver == "null" {
		return e
	}
	addresses := e.wanted
	if addresses == "" {
		addresses = s.addresses.take()
	}
	for address := range strings.SplitSeq(addresses, ",") {
		if strings.Contains(address, ":") {
			e.ipv6 = address
		} else {
			e.ipv4 = address
		}
	}
	return e
}

// unplugLocked takes the addresses of a container that died; others can have them at once.
func (s *Server) unplugLocked(c *container) []events.Message {
	var messages []events.Message
	endpoints := make(map[string]endpoint, len(c.state.endpoints))
	for _, name := range c.networkNames() {
		e := c.state.endpoints[name]
		if e.wanted == "" {
			s.addresses.free(e.ipv4)
		}
		endpoints[name] = endpoint{networkID: e.networkID, wanted: e.wanted}
		messages = append(messages, s.networks[name].event(events.ActionDisconnect, c.id))
	}
	c.state.endpoints = endpoints
	return messages
}

// Connect is "docker network connect". A container that does not run gets the network silently, its address at its start.
func (s *Server) Connect(ref, name, address string) bool {
	done := false
	s.change(ref, func(c *container) []events.Message {
		if _, ok := c.state.endpoints[name]; ok {
			return nil
		}
		done = true
		messages := s.addNetworkLocked(name, "bridge")
		e := endpoint{wanted: address}
		if c.state.alive() {
			e = s.addressLocked(c, name, e)
			messages = append(messages, s.networks[name].event(events.ActionConnect, c.id))
		}
		c.state.endpoints = maps.Clone(c.state.endpoints)
		c.state.endpoints[name] = e
		return messages
	})
	return done
}

// Disconnect is "docker network disconnect". Docker 20.10 tells of it twice if the container runs.
func (s *Server) Disconnect(ref, name string) bool {
	return s.change(ref, func(c *container) []events.Message {
		e, ok := c.state.endpoints[name]
		if !ok {
			return nil
		}
		c.state.endpoints = maps.Clone(c.state.endpoints)
		delete(c.state.endpoints, name)
		if e.wanted == "" {
			s.addresses.free(e.ipv4)
		}
		messages := []events.Message{s.networks[name].event(events.ActionDisconnect, c.id)}
		if c.state.alive() {
			messages = append(messages, s.networks[name].event(events.ActionDisconnect, c.id))
		}
		return messages
	})
}
