package watcher

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of a test; nothing is asserted about time.
const patience = 30 * time.Second

// fixture is a Watcher on a fake Docker. The test is the reader of its events.
type fixture struct {
	*testing.T
	s      *dockertest.Server
	w      *Watcher
	logs   *observer.ObservedLogs
	finish func()
	fence  string
	told   map[string]Event // the last word on each container
}

// newFixture makes a Watcher that does not run yet, for a test to alter.
func newFixture(t *testing.T, cfg dockertest.Config, choose ...string) *fixture {
	t.Helper()
	s := dockertest.New(t, cfg)
	core, logs := observer.New(zapcore.InfoLevel)
	w := New(Config{Endpoint: s.Endpoint(), Select: choose}, zap.New(core), NewMetrics(prometheus.NewRegistry()))
	return &fixture{T: t, s: s, w: w, logs: logs, finish: func() {}, told: map[string]Event{}}
}

// run starts the Watcher, which ends with the test.
func (f *fixture) run() *fixture {
	ctx, cancel := context.WithCancel(f.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := f.w.Run(ctx); err != nil {
			f.Errorf("run: %v", err)
		}
	}()
	f.finish = func() {
		cancel()
		<-done
		if f.s != nil && f.s.Refused() != 0 {
			f.Errorf("%d requests were neither GET nor HEAD", f.s.Refused())
		}
	}
	f.Cleanup(func() { f.finish() })
	return f
}

// started is a running Watcher whose first listing is over, with one container
// that settle uses.
func started(t *testing.T, cfg dockertest.Config, choose ...string) *fixture {
	t.Helper()
	return newFixture(t, cfg, choose...).start()
}

func (f *fixture) start() *fixture {
	f.Helper()
	f.fence = f.s.Run(ours("fence")).ID
	f.run()
	f.until(Synced, "")
	f.awaitFlowing()
	return f
}

func ours(name string) dockertest.Spec {
	return dockertest.Spec{Name: name, Labels: map[string]string{"ERU": "1"}}
}

// next reads one event.
func (f *fixture) next() Event {
	f.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case e := <-f.w.Events():
		f.note(e)
		return e
	case <-timeout.C:
		f.Fatalf("no event comes; log: %v", f.logs.All())
	}
	return Event{}
}

// expect reads one event, which must be this.
func (f *fixture) expect(kind Kind, id string) Event {
	f.Helper()
	for {
		e := f.next()
		if e.Kind == Listed && kind != Listed {
			continue
		}
		if e.Kind != kind || e.ID != id {
			f.Fatalf("got %s, want %s", describe(e), describe(Event{Kind: kind, ID: id}))
		}
		return e
	}
}

// until reads events up to this one.
func (f *fixture) until(kind Kind, id string) Event {
	f.Helper()
	for {
		if e := f.next(); e.Kind == kind && e.ID == id {
			return e
		}
	}
}

// gather reads events until each container's has come, in any order.
func (f *fixture) gather(want map[string]Kind) {
	f.Helper()
	for len(want) > 0 {
		e := f.next()
		if kind, ok := want[e.ID]; ok && kind == e.Kind {
			delete(want, e.ID)
		}
	}
}

// settle reads events until all that happened before has been told, and returns
// those of containers.
func (f *fixture) settle() []string {
	f.Helper()
	var told []string
	for _, step := range []struct {
		do     func(string) bool
		paused bool
	}{{f.s.Pause, true}, {f.s.Unpause, false}} {
		if !step.do(f.fence) {
			f.Fatalf("the fence did not move")
		}
		for {
			e := f.next()
			if e.ID == f.fence && e.Kind == Running && e.Container.Paused == step.paused {
				break
			}
			if e.Kind != Listed && e.ID != f.fence {
				told = append(told, describe(e))
			}
		}
	}
	return told
}

// tells asserts what is told from now on until all is quiet.
func (f *fixture) tells(want ...string) {
	f.Helper()
	if got := f.settle(); !slices.Equal(got, want) {
		f.Errorf("told %q, want %q", got, want)
	}
}

// untilToldOf reads events up to this one, as a test writes it.
func (f *fixture) untilToldOf(id, want string) {
	f.Helper()
	for {
		if e := f.next(); e.ID == id && describe(e) == want {
			return
		}
	}
}

// describe is an event as a test writes it: "running web 127.17.0.2".
func describe(e Event) string {
	c := e.Container
	switch e.Kind {
	case Running:
		text := "running " + c.Name
		if c.Addr.IsValid() {
			text += " " + c.Addr.String()
		}
		if c.Paused {
			text += " paused"
		}
		return text
	case Stopping:
		return fmt.Sprintf("stopping %s %d", c.Name, int(e.Signal))
	case Exited:
		text := "exited " + c.Name
		if e.Exit.Known {
			text += fmt.Sprintf(" %d", e.Exit.Code)
		}
		if e.Exit.OOM {
			text += " oom"
		}
		return text
	case Removed:
		return "removed"
	case Listed:
		return "listed"
	default:
		return "synced"
	}
}

// corrected counts the corrections of one container. Those of the fence are no
// evidence where listings come often: one of them may overtake its events.
func (f *fixture) corrected(id string) int {
	n := 0
	for _, e := range f.logs.FilterMessage("a listing showed what no event had told").All() {
		if e.ContextMap()["container"] == id {
			n++
		}
	}
	return n
}

// inspects counts Docker's answers about one container. The fence has one more where its start was told again.
func (f *fixture) inspects(id string) int { return f.s.Requests("/containers/" + id + "/json") }

func (f *fixture) corrections() int { return int(testutil.ToFloat64(f.w.metrics.corrections)) }

func (f *fixture) awaitFlowing() {
	f.Helper()
	f.await("events flow", f.w.Flowing)
}

// await polls what gives no signal of its own, and reads events meanwhile.
func (f *fixture) await(what string, done func() bool) {
	f.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for !done() {
		select {
		case <-tick.C:
		case e := <-f.w.Events():
			f.note(e)
		case <-timeout.C:
			f.Fatalf("waited in vain until %s; log: %v", what, f.logs.All())
		}
	}
}

// soon is a context that ends with the test, or when it has waited too long.
func (f *fixture) soon() context.Context {
	ctx, cancel := context.WithTimeout(f.Context(), patience)
	f.Cleanup(cancel)
	return ctx
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// said is how many log entries contain the text.
func (f *fixture) said(text string) int {
	n := 0
	for _, e := range f.logs.All() {
		if strings.Contains(fmt.Sprint(e.Message, e.ContextMap()), text) {
			n++
		}
	}
	return n
}
