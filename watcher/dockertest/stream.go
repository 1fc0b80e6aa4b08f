package dockertest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	timetypes "github.com/docker/docker/api/types/time"
)

// serveEvents answers GET /events: first what is recorded, then what happens, until the client or the server ends it.
func (s *Server) serveEvents(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	sub, err := newSubscriber(ctx, cancel, r)
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	stream := &eventStream{encoder: json.NewEncoder(w), http: http.NewResponseController(w)}
	if released, delay := s.faults.current(Subscribing); released != nil || delay > 0 {
		_ = stream.flush()
		_ = s.faults.hold(ctx, Subscribing)
	}
	past := s.hub.subscribe(sub)
	defer s.hub.unsubscribe(sub)
	_ = stream.flush()
	s.follow(ctx, stream, sub, past)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, errEnded) {
		panic(http.ErrAbortHandler)
	}
}

// follow writes events to a stream until its context ends, its "until" has come or the client has gone.
func (s *Server) follow(ctx context.Context, stream *eventStream, sub *subscriber, past []events.Message) {
	for _, m := range past {
		if s.faults.hold(ctx, Events) != nil || stream.write(m) != nil {
			return
		}
	}
	until := sub.expiry()
	for stream.flush() == nil {
		select {
		case <-ctx.Done():
			return
		case <-until:
			return
		case m := <-sub.queue:
			if s.faults.hold(ctx, Events) != nil || stream.drain(m, sub.queue) != nil {
				return
			}
		}
	}
}

func newSubscriber(ctx context.Context, cancel context.CancelCauseFunc, r *http.Request) (*subscriber, error) {
	since, err := parseTime(r.URL.Query().Get("since"), -1)
	if err != nil {
		return nil, err
	}
	until, err := parseTime(r.URL.Query().Get("until"), 0)
	if err != nil {
		return nil, err
	}
	args, err := filters.FromJSON(r.URL.Query().Get("filters"))
	if err != nil {
		return nil, err
	}
	return &subscriber{
		since: since, until: until, include: includer(args),
		queue: make(chan events.Message, queueSize), done: ctx.Done(), end: cancel,
	}, nil
}

func parseTime(value string, missing int64) (int64, error) {
	if value == "" {
		return missing, nil
	}
	seconds, nanoseconds, err := timetypes.ParseTimestamps(value, 0)
	if err != nil {
		return 0, err
	}
	return time.Unix(seconds, nanoseconds).UnixNano(), nil
}

// expiry is closed or sends when "until" has come; nil without one.
func (sub *subscriber) expiry() <-chan time.Time {
	if sub.until == 0 {
		return nil
	}
	return time.After(time.Until(time.Unix(0, sub.until)))
}

// includer is the daemon's own filter, its oddity with health_status and exec_* included.
func includer(args filters.Args) func(events.Message) bool {
	return func(m events.Message) bool {
		return args.Len() == 0 || includesAction(args, string(m.Action)) &&
			args.ExactMatch("type", string(m.Type)) &&
			args.ExactMatch("scope", m.Scope) &&
			includesName(args, "container", m) && includesName(args, "network", m) &&
			args.ExactMatch("image", m.Actor.Attributes["image"]) &&
			(!args.Contains("label") || args.MatchKVList("label", m.Actor.Attributes))
	}
}

func includesAction(args filters.Args, action string) bool {
	for _, wanted := range args.Get("event") {
		switch wanted {
		case "health_status", "exec_create", "exec_start":
			return args.FuzzyMatch("event", action)
		}
	}
	return args.ExactMatch("event", action)
}

func includesName(args filters.Args, kind string, m events.Message) bool {
	return args.FuzzyMatch(kind, m.Actor.ID) || args.FuzzyMatch(kind, strings.TrimPrefix(m.Actor.Attributes["name"], "/"))
}

// eventStream writes events to one client.
type eventStream struct {
	encoder *json.Encoder
	http    *http.ResponseController
}

func (e *eventStream) write(m events.Message) error { return e.encoder.Encode(m) }

func (e *eventStream) flush() error { return e.http.Flush() }

// drain writes one event and those that wait behind it, so that a flood costs one flush.
func (e *eventStream) drain(m events.Message, queue <-chan events.Message) error {
	for {
		if err := e.write(m); err != nil {
			return err
		}
		select {
		case m = <-queue:
		default:
			return nil
		}
	}
}
