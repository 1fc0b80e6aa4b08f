package status

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"pgregory.net/rapid"
)

// world is what etcd holds of one service, and two readers of it: one hears every
// event, the other one lists after each step.
type world struct {
	*rapid.T
	cfg            ViewConfig
	now            time.Time
	revision       int64
	held           map[string]*mvccpb.KeyValue // what etcd holds, by key
	watches, lists *View

	// Of the containers, by ID.
	states                  map[string]Status // of those that are there
	before                  map[string]Server // what the readers made of them before the last step
	healthySince, deletedAt map[string]time.Time
	beenIn, left            map[string]bool // healthy and ready, and then not ready
}

func newView(cfg ViewConfig) *View {
	v := NewView(NewStore(Config{Prefix: "/eru"}, zap.NewNop()), cfg, zap.NewNop())
	v.reading.raw = map[string]stored{}
	return v
}

// TestSetsHold holds, for random lives of five containers, what must be so of any
// set whatever happened before, and that it makes no difference how a reader
// learnt of it: by a watch, by lists, or partly from its copy.
func TestSetsHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{T: t, now: time.Unix(1e9, 0), held: map[string]*mvccpb.KeyValue{}, states: map[string]Status{},
			before: map[string]Server{}, healthySince: map[string]time.Time{}, deletedAt: map[string]time.Time{},
			beenIn: map[string]bool{}, left: map[string]bool{},
			cfg: ViewConfig{Hold: rapid.SampledFrom([]time.Duration{0, 5 * time.Second}).Draw(t, "hold"),
				PanicShare: rapid.SampledFrom([]float64{0.25, 0.5, 0.75}).Draw(t, "share")}}
		w.watches, w.lists = newView(w.cfg), newView(w.cfg)
		w.put("/eru/status/other/web/n1/x", Status{State: StateHealthy}) // no list is empty
		w.step()
		t.Repeat(map[string]func(*rapid.T){
			"put":     func(t *rapid.T) { w.change(1) },
			"batch":   func(t *rapid.T) { w.change(rapid.IntRange(2, 4).Draw(t, "changes")) },
			"wait":    w.wait,
			"restart": w.restart,
		})
	})
}

func (w *world) put(key string, s Status) {
	w.held[key] = &mvccpb.KeyValue{Key: []byte(key), Value: s.Encode(uint64(w.revision)), ModRevision: w.revision + 1}
}

// change changes some containers at one revision.
func (w *world) change(n int) {
	ids := rapid.Permutation([]string{"a", "b", "c", "d", "e"}).Draw(w.T, "who")
	for _, id := range ids[:n] {
		key := "/eru/status/shop/web/n1/" + id
		state := rapid.SampledFrom([]State{StateStarting, StateHealthy, StateHealthy, StateUnhealthy, StateUnhealthy, StateDraining,
			StatePaused, StateStopped, StateLost, ""}).Draw(w.T, "state")
		was, there := w.states[id]
		if state == "" {
			if there {
				w.deletedAt[id] = w.now
			}
			delete(w.held, key)
			delete(w.states, id)
			continue
		}
		if !there && w.now.Sub(w.deletedAt[id]) >= w.cfg.Hold { // it is new
			delete(w.beenIn, id)
			delete(w.left, id)
		}
		s := Status{ID: id, State: state, Started: time.Unix(rapid.Int64Range(1, 2).Draw(w.T, "life"), 0)}
		w.put(key, s)
		if state != StateHealthy || was.State != StateHealthy || !was.Started.Equal(s.Started) {
			w.healthySince[id] = w.now
		}
		w.states[id] = s
	}
	w.step()
}

// step tells both readers what etcd holds now.
func (w *world) step() {
	w.revision++
	l := newListing(w.revision)
	var events []*clientv3.Event
	for _, kv := range w.held {
		l.add(w.lists.store.keys, Scope{}, kv)
		if kv.ModRevision == w.revision {
			events = append(events, &clientv3.Event{Type: clientv3.EventTypePut, Kv: kv})
		}
	}
	for key := range w.watches.reading.raw {
		if w.held[key] == nil {
			events = append(events, &clientv3.Event{Type: clientv3.EventTypeDelete, Kv: &mvccpb.KeyValue{Key: []byte(key), ModRevision: w.revision}})
		}
	}
	w.watches.watchedAt(w.revision, events, w.now)
	w.lists.listedAt(l, w.now)
	w.check()
}

func (w *world) wait(t *rapid.T) {
	w.now = w.now.Add(time.Duration(rapid.IntRange(1, 6).Draw(t, "seconds")) * time.Second)
	w.watches.tick(w.now)
	w.lists.tick(w.now)
	w.check()
}

// restart puts a reader that begins with the copy into the place of both. It has
// not seen for how long anything was healthy, so nothing may be under way.
func (w *world) restart(*rapid.T) {
	if !w.watches.machine.next().IsZero() {
		return
	}
	d := w.watches.document()
	was := w.line(w.watches)
	for _, v := range []**View{&w.watches, &w.lists} {
		*v = newView(w.cfg)
		(*v).restore(d, w.now)
	}
	// What was deleted before is new to them.
	maps.DeleteFunc(w.beenIn, func(id string, _ bool) bool { return w.before[id].Key.ID == "" })
	maps.DeleteFunc(w.left, func(id string, _ bool) bool { return w.before[id].Key.ID == "" })
	if is := w.line(w.watches); is != was {
		w.Fatalf("before the restart %s, after it %s", was, is)
	}
}

func (w *world) line(v *View) string {
	s := v.Service("shop", "web")
	if s == nil {
		return "none"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "panic %v", s.Panic)
	for _, srv := range s.Servers {
		fmt.Fprintf(&b, ", %s %s %d", srv.Key.ID, srv.Status.State, srv.Use)
	}
	return b.String()
}

// check holds what must be so.
func (w *world) check() {
	line := w.line(w.watches)
	if other := w.line(w.lists); other != line {
		w.Fatalf("by the watch %s, by lists %s", line, other)
	}
	after := map[string]Server{}
	service := w.watches.Service("shop", "web")
	if service != nil {
		for _, srv := range service.Servers {
			after[srv.Key.ID] = srv
		}
	}
	if !slices.Equal(slices.Sorted(maps.Keys(after)), slices.Sorted(maps.Keys(w.states))) {
		w.Fatalf("known: %v, there: %v", after, w.states)
	}
	count := map[State]int{}   // of containers
	readies := map[State]int{} // of those that are ready
	for id, srv := range after {
		count[w.states[id].State]++
		if srv.Use == UseReady {
			readies[w.states[id].State]++
		}
		if (srv.Use == UseDrain) != (w.states[id].State == StateDraining) {
			w.Fatalf("%s drains, or does not: %s", id, line)
		}
	}
	w.checkSet(line, service != nil && service.Panic, count, readies)
	w.checkMoves(line, after, readies)
	w.before = after
}

func (w *world) checkSet(line string, panics bool, count, readies map[State]int) {
	unhealthy, healthy := float64(count[StateUnhealthy]), float64(count[StateHealthy])
	stopped := readies[StateStopped] + readies[StateLost]
	switch {
	case panics != (unhealthy > 0 && unhealthy/(unhealthy+healthy) > w.cfg.PanicShare):
		w.Fatalf("%v unhealthy, %v healthy: %s", unhealthy, healthy, line)
	case readies[StateStarting]+readies[StateDraining]+readies[StatePaused] > 0:
		w.Fatalf("what is certainly out is ready: %s", line)
	case !panics && readies[StateUnhealthy] > 0:
		w.Fatalf("unhealthy, ready and no panic: %s", line)
	case healthy > 0 && readies[StateHealthy] == 0:
		w.Fatalf("somebody is healthy and nobody of them ready: %s", line)
	case w.cfg.Hold == 0 && readies[StateHealthy] != count[StateHealthy]:
		w.Fatalf("healthy and held without a hold: %s", line)
	case stopped > 0 && readies[StateHealthy]+readies[StateUnhealthy] > 0:
		w.Fatalf("stopped and ready although others are: %s", line)
	case stopped > 0 && count[StateHealthy]+count[StateUnhealthy] > 0:
		w.Fatalf("stopped and ready although others run: %s", line)
	case panics && readies[StateHealthy]+readies[StateUnhealthy] == 0:
		w.Fatalf("a panic leaves nobody: %s", line)
	}
}

// checkMoves holds what may come into a set and go out of it.
func (w *world) checkMoves(line string, after map[string]Server, readies map[State]int) {
	for id, was := range w.before {
		is, there := after[id]
		stopped := there && was.Status.Started.Equal(is.Status.Started) && (is.Status.State == StateStopped || is.Status.State == StateLost)
		if was.Use == UseReady && was.Status.Healthy && stopped && len(readies) == 0 {
			w.Fatalf("%s was ready and has stopped, and nobody is ready: %s", id, line)
		}
	}
	for id, is := range after {
		came := is.Use == UseReady && is.Status.Healthy && w.before[id].Use != UseReady
		if early := w.now.Sub(w.healthySince[id]) < w.cfg.Hold; came && early && w.left[id] && w.anotherStayed(id, after) {
			w.Fatalf("%s is let in %s after it became healthy: %s", id, w.now.Sub(w.healthySince[id]), line)
		}
		if is.Use == UseReady && is.Status.Healthy {
			w.beenIn[id] = true
		}
	}
	for id := range w.beenIn {
		if after[id].Use != UseReady {
			w.left[id] = true
		}
	}
}

// anotherStayed says that one other than id was healthy and ready before, and is.
func (w *world) anotherStayed(id string, after map[string]Server) bool {
	for other, is := range after {
		if other != id && is.Use == UseReady && is.Status.Healthy && w.before[other].Use == UseReady && w.before[other].Status.Healthy {
			return true
		}
	}
	return false
}
