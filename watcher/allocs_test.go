package watcher

import (
	"testing"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// TestAllocations counts what it costs to hear one of Docker's events, and to
// hand it to the one who acts on it. It does not depend on the machine; a change
// that makes it more says why.
func TestAllocations(t *testing.T) {
	w := New(Config{}, zap.NewNop(), NewMetrics(prometheus.NewRegistry()))
	sub := subscription{heard: map[string]bool{}}
	m := events.Message{Type: events.ContainerEventType, Action: events.ActionDie,
		Actor: events.Actor{ID: "c1", Attributes: map[string]string{"exitCode": "0"}}}
	at := time.Now().UnixNano()
	got := testing.AllocsPerRun(1000, func() {
		at++
		m.TimeNano = at
		if !sub.fresh(m) {
			t.Error("it was heard before")
		}
		w.hear(m)
		if _, ok := w.queue.take(); !ok {
			t.Error("nothing to act on")
		}
	})
	t.Logf("%v", got)
	if most := 7.0; got > most {
		t.Errorf("%v allocations, want at most %v", got, most)
	}
}
