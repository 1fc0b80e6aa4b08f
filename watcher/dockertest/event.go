package dockertest

import (
	"maps"
	"strconv"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/versions"
)

// Emit records and distributes any event as it is, with the time of now if it has none.
func (s *Server) Emit(m events.Message) {
	if m.TimeNano == 0 {
		m = stamp(m, s.cfg.Clock())
	}
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.hub.publishLocked([]events.Message{m})
}

// event is an event of a container: its labels, image and name, and what else is given as pairs of name and value.
func (s *Server) event(c *container, action events.Action, pairs ...string) events.Message {
	attributes := make(map[string]string, len(c.spec.Labels)+len(pairs)/2+2)
	maps.Copy(attributes, c.spec.Labels)
	attributes["image"], attributes["name"] = c.spec.Image, c.name
	for i := 0; i+1 < len(pairs); i += 2 {
		attributes[pairs[i]] = pairs[i+1]
	}
	return stamp(events.Message{
		Status: string(action), ID: c.id, From: c.spec.Image,
		Type: events.ContainerEventType, Action: action,
		Actor: events.Actor{ID: c.id, Attributes: attributes}, Scope: "local",
	}, s.cfg.Clock())
}

// dieEvent has the duration of the life only from Docker 23 on.
func (s *Server) dieEvent(c *container, exitCode int) events.Message {
	m := s.event(c, events.ActionDie, "exitCode", strconv.Itoa(exitCode))
	if versions.GreaterThanOrEqualTo(s.cfg.APIVersion, "1.42") {
		m.Actor.Attributes["execDuration"] = strconv.Itoa(int(s.cfg.Clock().Sub(c.state.startedAt).Seconds()))
	}
	return m
}

// event is an event of a network, with the container that it is about if there is one.
func (n *network) event(action events.Action, container string) events.Message {
	attributes := map[string]string{"name": n.name, "type": n.driver}
	if container != "" {
		attributes["container"] = container
	}
	return stamp(events.Message{
		Type: events.NetworkEventType, Action: action,
		Actor: events.Actor{ID: n.id, Attributes: attributes}, Scope: "local",
	}, n.clock())
}

func stamp(m events.Message, now time.Time) events.Message {
	m.Time, m.TimeNano = now.Unix(), now.UnixNano()
	return m
}
