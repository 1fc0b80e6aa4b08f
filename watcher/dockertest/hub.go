package dockertest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/docker/docker/api/types/events"
)

const (
	replaySize = 256  // Events that the daemon keeps for "since", counted before filters.
	queueSize  = 1024 // Events that the daemon keeps for a subscriber that is slow.
)

var (
	errCut   = errors.New("stream cut")
	errEnded = errors.New("stream ended")
)

// hub distributes events to subscribers and keeps the last of them for replay.
type hub struct {
	patience time.Duration
	tell     func()

	mu          sync.Mutex
	away        bool // The engine is down: nothing is recorded.
	replay      []events.Message
	subscribers map[*subscriber]struct{}
	rules       []*eventRule
	lost        int
}

// subscriber is one event stream.
type subscriber struct {
	since, until int64 // Nanoseconds; 0 for none.
	include      func(events.Message) bool
	queue        chan events.Message
	done         <-chan struct{}
	end          context.CancelCauseFunc
}

func newHub(patience time.Duration, tell func()) *hub {
	return &hub{patience: patience, tell: tell, subscribers: map[*subscriber]struct{}{}}
}

// subscribe adds a subscriber and returns, as of the same moment, the recorded events that it asked for.
func (h *hub) subscribe(sub *subscriber) []events.Message {
	h.mu.Lock()
	defer h.tell()
	defer h.mu.Unlock()
	h.subscribers[sub] = struct{}{}
	if sub.since < 0 && sub.until == 0 {
		return nil
	}
	var past []events.Message
	for _, m := range h.replay {
		if m.TimeNano >= sub.since && (sub.until == 0 || m.TimeNano <= sub.until) && sub.include(m) {
			past = append(past, m)
		}
	}
	return past
}

func (h *hub) unsubscribe(sub *subscriber) {
	h.mu.Lock()
	defer h.tell()
	defer h.mu.Unlock()
	delete(h.subscribers, sub)
}

// publishLocked records and distributes events, in order. The caller has locked mu, so that the order of events is the order of
// the changes that they tell of.
func (h *hub) publishLocked(messages []events.Message) {
	if h.away {
		return
	}
	for _, m := range messages {
		if len(h.replay) == replaySize {
			h.replay = slices.Delete(h.replay, 0, 1)
		}
		h.replay = append(h.replay, m)
		for _, delivered := range h.alterLocked(m) {
			h.deliverLocked(delivered)
		}
	}
}

func (h *hub) deliverLocked(m events.Message) {
	for sub := range h.subscribers {
		if !sub.include(m) {
			continue
		}
		select {
		case sub.queue <- m:
		default:
			h.pressLocked(sub, m)
		}
	}
}

// pressLocked waits a little for a subscriber with a full queue and then drops the event, silently, as the daemon does.
func (h *hub) pressLocked(sub *subscriber, m events.Message) {
	timer := time.NewTimer(h.patience)
	defer timer.Stop()
	select {
	case sub.queue <- m:
	case <-sub.done:
	case <-timer.C:
		h.lost++
	}
}

func (h *hub) end(cause error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for sub := range h.subscribers {
		sub.end(cause)
	}
}

func (h *hub) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.away, h.replay = true, nil
}

func (h *hub) enter() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.away = false
}

func (h *hub) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.replay = nil
}

func (h *hub) streams() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.subscribers)
}

func (h *hub) lostEvents() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lost
}
