package status_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/status"
)

func TestWriter(t *testing.T) {
	onBoth(t, map[string]func(*testing.T, *env){
		"claims an empty store":                 claimsEmpty,
		"writes changes only":                   writesChangesOnly,
		"writes in batches, bad news first":     writesInBatches,
		"keeps transactions below etcd's limit": keepsBelowLimit,
		"lets no container block the others":    letsNoneBlock,
		"stops before it deletes":               stopsBeforeDeleting,
		"leaves no trace of the unpublished":    leavesNoTrace,
		"drops at once":                         dropsAtOnce,
		"brings a retired container back":       bringsBack,
		"counts what waits":                     countsWhatWaits,
		"tells which step etcd has taken":       tellsSteps,
	})
}

func claimsEmpty(t *testing.T, e *env) {
	w := newWriter(t, e.store(unhurried), identity("i1", "m1"))
	if w.Settled() {
		t.Error("settled before it ran")
	}
	stop := w.run(func(_ context.Context, found []status.Found) error {
		if len(found) != 0 {
			t.Errorf("found %v", found)
		}
		return nil
	})
	w.settle()
	owner, _ := e.get("/agent/node1")
	if want := `{"instance":"i1","sequence":1,"version":"v-i1","started":"2024-02-29T12:30:15.123456789Z","machine":"m1"}`; owner != want {
		t.Errorf("owner %s, want %s", owner, want)
	}
	stop()
	if err := w.end(); err != nil {
		t.Errorf("Run returned %v at its context's end", err)
	}
	if after, _ := e.get("/agent/node1"); after != owner {
		t.Errorf("the end changed the owner to %s", after)
	}
}

func tellsSteps(t *testing.T, e *env) {
	w := newWriter(t, e.store(unhurried), identity("i1", "m1"))
	var mu sync.Mutex
	var taken []status.Taken
	w.Tell(func(told status.Taken) {
		if w.Settled() {
			t.Errorf("who waits for etcd has been told of step %d before us", told.Step)
		}
		mu.Lock()
		defer mu.Unlock()
		taken = append(taken, told)
	})
	k := container(1)
	say := func(step uint64, state status.State) {
		w.Set(k, status.Status{ID: k.ID, State: state, Step: step}, time.Now())
	}
	say(1, status.StateStarting)
	say(2, status.StateHealthy) // before anything could be written
	w.run(adoptNothing)
	w.settle()
	first := e.revision()
	say(3, status.StateUnhealthy)
	w.settle()
	second := e.revision()
	w.Retire(k)
	w.settle()
	mu.Lock()
	defer mu.Unlock()
	var got []string
	for _, told := range taken {
		if told.Key != k || told.At.IsZero() {
			t.Errorf("told %+v", told)
		}
		got = append(got, fmt.Sprint(told.Step, told.Deleted, told.Revision))
	}
	want := []string{fmt.Sprint(2, false, first), fmt.Sprint(3, false, second), fmt.Sprint(3, true, e.revision())}
	if !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	if value, _ := e.get("/status/" + k.App); strings.Contains(strings.ToLower(value), "step") {
		t.Errorf("the step is written: %s", value)
	}
}

func writesChangesOnly(t *testing.T, e *env) {
	w := newWriter(t, e.store(unhurried), identity("i1", "m1"))
	w.SetAuditEvery(10 * time.Millisecond) // which writes nothing either
	w.run(adoptNothing)
	w.set(container(1), status.StateHealthy)
	w.settle()
	before := e.revision()
	w.set(container(1), status.StateHealthy)
	w.set(container(1), status.StateUnhealthy)
	w.settle()
	w.set(container(1), status.StateUnhealthy)
	w.set(container(2), status.StateHealthy)
	w.settle()
	steps := e.history(before)
	if len(steps) == 3 { // the writer may have seen the value between the two
		steps = steps[1:]
	}
	if got := e.revision() - before; len(steps) != 2 || steps[0].state != status.StateUnhealthy || steps[1].id != "c0002" || got > 4 {
		t.Errorf("%d revisions with %+v", got, steps)
	}
	if n := w.metric("publish_foreign_total"); n != 0 {
		t.Errorf("%v foreign changes", n)
	}
}

func writesInBatches(t *testing.T, e *env) {
	w := newWriter(t, e.store(unhurried), identity("i1", "m1"))
	for n := range 500 {
		state := status.StateHealthy
		if n%5 == 4 {
			state = status.StateUnhealthy
		}
		w.set(container(n), state)
	}
	before := e.revision()
	w.run(adoptNothing)
	w.settle()
	steps := e.history(before)
	perRevision, badDone := map[int64]int{}, false
	for _, s := range steps {
		perRevision[s.rev]++
		if s.state == status.StateHealthy {
			badDone = true
		} else if badDone {
			t.Fatalf("%s is bad news and came after good", s.id)
		}
	}
	for rev, n := range perRevision {
		if n > 120 {
			t.Errorf("%d keys at revision %d", n, rev)
		}
	}
	if len(steps) != 500 || len(perRevision) != 5 {
		t.Errorf("%d keys in %d transactions", len(steps), len(perRevision))
	}
	if tx, keys, queue := w.metric("publish_transactions_total"), w.metric("publish_keys_total"), w.metric("publish_queue"); tx != 5 || keys != 500 || queue != 0 {
		t.Errorf("counted %v transactions, %v keys, %v in the queue", tx, keys, queue)
	}
}

func keepsBelowLimit(t *testing.T, e *env) {
	w := newWriter(t, e.store(unhurried), identity("i1", "m1"))
	for n := range 150 {
		s := in(status.StateHealthy, container(n))
		s.Extension = strings.Repeat("x", 40<<10)
		w.Set(container(n), s, time.Now())
	}
	w.run(adoptNothing)
	w.settle()
	if tx := w.metric("publish_transactions_total"); tx < 6 || w.metric("publish_errors_total") != 0 {
		t.Errorf("%v transactions, %v errors", tx, w.metric("publish_errors_total"))
	}
}

func letsNoneBlock(t *testing.T, e *env) {
	w := newWriter(t, e.store(unhurried), identity("i1", "m1"))
	w.run(adoptNothing)
	huge := in(status.StateHealthy, container(1))
	huge.Endpoints = map[string]string{}
	for port := range 65536 {
		huge.Endpoints[strconv.Itoa(port)] = "10.0.0.5:" + strconv.Itoa(port)
	}
	for state, want := range map[status.State]status.State{status.StateHealthy: status.StateInvalid, status.StateStopped: status.StateStopped} {
		huge.State = state
		w.Set(container(1), huge, time.Now())
		w.set(container(2), state)
		w.settle()
		if got := e.state(container(1)); got != want {
			t.Errorf("%s: state %q, want %q", state, got, want)
		}
		if got := e.state(container(2)); got != state {
			t.Errorf("the other's state is %q, want %q", got, state)
		}
	}
	if value, _ := e.get(path(container(1))); !strings.Contains(value, `"reason":"too_large"`) {
		t.Errorf("published %s", value)
	}
}

func stopsBeforeDeleting(t *testing.T, e *env) {
	w := newWriter(t, e.store(unhurried), identity("i1", "m1"))
	w.run(adoptNothing)
	w.set(container(1), status.StateHealthy)
	w.settle()
	before := e.revision()
	w.set(container(1), status.StateStopped)
	w.Retire(container(1))
	w.settle()
	steps := e.history(before)
	if len(steps) != 2 || steps[0].state != status.StateStopped || steps[1].state != "" || steps[0].rev >= steps[1].rev {
		t.Errorf("seen: %+v", steps)
	}
}

func leavesNoTrace(t *testing.T, e *env) {
	w := newWriter(t, e.store(unhurried), identity("i1", "m1"))
	before := e.revision()
	w.set(container(1), status.StateStarting)
	w.set(container(1), status.StateStopped)
	w.Retire(container(1))
	w.Retire(container(2))
	w.Drop(container(3))
	w.run(adoptNothing)
	w.settle()
	if steps := e.history(before); len(steps) != 0 {
		t.Errorf("seen: %+v", steps)
	}
}

func dropsAtOnce(t *testing.T, e *env) {
	w := newWriter(t, e.store(unhurried), identity("i1", "m1"))
	w.run(adoptNothing)
	w.set(container(1), status.StateHealthy)
	w.settle()
	before := e.revision()
	w.Drop(container(1))
	w.settle()
	if steps := e.history(before); len(steps) != 1 || steps[0].state != "" {
		t.Errorf("seen: %+v", steps)
	}
}

func bringsBack(t *testing.T, e *env) {
	w := newWriter(t, e.store(unhurried), identity("i1", "m1"))
	w.run(adoptNothing)
	for _, state := range []status.State{status.StateHealthy, status.StateStarting} {
		w.set(container(1), state)
		w.settle()
		if got := e.state(container(1)); got != state {
			t.Errorf("state %q, want %q", got, state)
		}
		w.set(container(1), status.StateStopped)
		w.Retire(container(1))
		w.settle()
		if got := e.state(container(1)); got != "" {
			t.Errorf("state %q after the container was retired", got)
		}
	}
	// A container that starts again before its key was deleted keeps it.
	w.set(container(1), status.StateStopped)
	w.Retire(container(1))
	w.set(container(1), status.StateStarting)
	w.settle()
	if got := e.state(container(1)); got != status.StateStarting {
		t.Errorf("state %q", got)
	}
}

func countsWhatWaits(t *testing.T, e *env) {
	proxy := e.proxy()
	w := newWriter(t, e.store(hasty), identity("i1", "m1"))
	w.run(adoptNothing)
	w.settle()
	proxy.Cut()
	for n := range 3 {
		w.set(container(n), status.StateHealthy)
	}
	if w.Settled() {
		t.Error("settled while three keys wait")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := w.Wait(ctx); err == nil || !strings.Contains(err.Error(), "waiting for etcd to take the last statuses") {
		t.Errorf("Wait returned %v", err)
	}
	eventually(t, "three keys in the queue", func() bool { return w.metric("publish_queue") == 3 })
	proxy.Resume()
	w.settle()
	if !w.Settled() || w.metric("publish_queue") != 0 {
		t.Errorf("settled %v, queue %v", w.Settled(), w.metric("publish_queue"))
	}
	if states := []status.State{e.state(container(0)), e.state(container(1)), e.state(container(2))}; slices.Contains(states, "") {
		t.Errorf("states %q", states)
	}
}
