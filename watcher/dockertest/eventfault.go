package dockertest

import (
	"math/rand/v2"
	"slices"

	"github.com/docker/docker/api/types/events"
)

// Match chooses events. It is called once for each event, in order, and never twice at the same time.
type Match func(events.Message) bool

// Next chooses the next n events.
func Next(n int) Match {
	return func(events.Message) bool {
		n--
		return n >= 0
	}
}

// Actions chooses events by their action: "die", "start", ...
func Actions(actions ...string) Match {
	return func(m events.Message) bool { return slices.Contains(actions, string(m.Action)) }
}

// Of chooses the events of one container, those of networks that name it included.
func Of(id string) Match {
	return func(m events.Message) bool { return m.Actor.ID == id || m.Actor.Attributes["container"] == id }
}

// Share chooses events at random, so many of all.
func Share(share float64) Match {
	return func(events.Message) bool { return rand.Float64() < share }
}

// All chooses events that every one of the matches chooses. A later match sees only what the earlier ones chose.
func All(matches ...Match) Match {
	return func(m events.Message) bool {
		for _, match := range matches {
			if !match(m) {
				return false
			}
		}
		return true
	}
}

// eventRule alters what is delivered; what is recorded for replay stays as it was.
type eventRule struct {
	apply func(events.Message) []events.Message
	flush func() []events.Message
}

// DropEvents keeps the events that match from all streams, silently, until the function that it returns is called. They
// stay in the replay buffer.
func (s *Server) DropEvents(match Match) func() {
	return s.hub.alter(&eventRule{apply: func(m events.Message) []events.Message {
		if match(m) {
			return nil
		}
		return []events.Message{m}
	}})
}

// DuplicateEvents delivers the events that match twice, until the function that it returns is called.
func (s *Server) DuplicateEvents(match Match) func() {
	return s.hub.alter(&eventRule{apply: func(m events.Message) []events.Message {
		if match(m) {
			return []events.Message{m, m}
		}
		return []events.Message{m}
	}})
}

// ReorderEvents holds the events that match back until one that until chooses has been delivered, the next one of any kind
// if until is nil. What is held when the function that it returns is called is delivered then.
func (s *Server) ReorderEvents(match, until Match) func() {
	var held []events.Message
	take := func() []events.Message {
		taken := held
		held = nil
		return taken
	}
	return s.hub.alter(&eventRule{flush: take, apply: func(m events.Message) []events.Message {
		switch {
		case len(held) > 0 && (until == nil || until(m)):
			return append([]events.Message{m}, take()...)
		case match(m):
			held = append(held, m)
			return nil
		}
		return []events.Message{m}
	}})
}

func (h *hub) alter(rule *eventRule) func() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.rules = append(h.rules, rule)
	return func() { h.restore(rule) }
}

func (h *hub) restore(rule *eventRule) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.Index(h.rules, rule)
	if i < 0 {
		return
	}
	h.rules = slices.Delete(h.rules, i, i+1)
	if rule.flush == nil {
		return
	}
	for _, m := range rule.flush() {
		h.deliverLocked(m)
	}
}

// alterLocked is what the rules make of one event.
func (h *hub) alterLocked(m events.Message) []events.Message {
	messages := []events.Message{m}
	for _, rule := range h.rules {
		var altered []events.Message
		for _, m := range messages {
			altered = append(altered, rule.apply(m)...)
		}
		messages = altered
	}
	return messages
}
