package chaos

import (
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

// TestDockerAnswersBadly has Docker be there and of no use, while containers fail, recover, die and come.
func TestDockerAnswersBadly(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fault      string
		begin, end func(*herd)
		tick       func(*herd)
	}{
		{
			"Docker accepts and never answers",
			func(h *herd) { h.Hang(dockertest.Everything) },
			func(h *herd) { h.Unhang(dockertest.Everything) },
			func(*herd) {},
		},
		{
			"Docker never answers, streams cut",
			func(h *herd) { h.Hang(dockertest.Everything); h.CutStreams() },
			func(h *herd) { h.Unhang(dockertest.Everything) },
			func(h *herd) { h.CutStreams() },
		},
		{
			"Docker answers 500",
			func(h *herd) { h.Fail(dockertest.Everything, 500); h.CutStreams() },
			func(h *herd) { h.Fail(dockertest.Everything, 0) },
			func(*herd) {},
		},
		{
			"Docker ends the event stream every second",
			func(h *herd) { h.CutStreams() },
			func(*herd) {},
			func(h *herd) { h.CutStreams() },
		},
		{
			"Docker's list and inspect answer 500, events flow",
			func(h *herd) { h.Fail(dockertest.List, 500); h.Fail(dockertest.Inspect, 500) },
			func(h *herd) { h.Fail(dockertest.List, 0); h.Fail(dockertest.Inspect, 0) },
			func(*herd) {},
		},
	} {
		t.Run(c.fault, func(t *testing.T) {
			t.Parallel()
			h := newHerd(t, newRow(t, ofDocker, c.fault, "etcd 3.7, fake Docker"), dockertest.Config{DeathLag: lag})
			a := h.n.Start().AwaitReady()
			ids := h.joinAll(of(20, 100))
			before := baseline(t, a)
			for range of(1, 2) {
				c.begin(h)
				h.row.injected(1)
				h.meanwhile(ids, of(3, 20), c.tick)
				at := time.Now()
				c.end(h)
				h.row.rightAfter(h.settle(at), returned)
				a.AwaitReady()
				h.wake(ids)
			}
			h.row.flat(a, before)
		})
	}
}

// meanwhile has things happen for some seconds that are seen without Docker, and in the end some that are not.
func (h *herd) meanwhile(ids []string, seconds int, tick func(*herd)) {
	h.t.Helper()
	var seen time.Duration
	for i := range seconds {
		second := time.After(time.Second)
		tick(h)
		at := time.Now()
		h.answer(ids[2*i], "500", "unhealthy")
		seen = max(seen, h.l.settle(at))
		at = time.Now()
		h.answer(ids[2*i], "ok", "healthy")
		seen = max(seen, h.l.settle(at))
		at = time.Now()
		h.l.dies(ids[2*i+1])
		h.b.End(ids[2*i+1])
		seen = max(seen, h.l.settle(at))
		h.Die(ids[2*i+1], 137)
		<-second // the fault itself
	}
	for i := range seconds {
		h.begin(ids[2*i+1], i%2 == 0)
		h.l.is(ids[2*i], "paused")
		h.Pause(ids[2*i])
	}
	h.row.note("seen after %s at most", short(seen))
}

// wake has those that are paused go on.
func (h *herd) wake(ids []string) {
	for _, id := range ids {
		if c, _ := h.Container(id); c.Status == "paused" {
			h.l.is(id, "healthy", "starting")
			h.Unpause(id)
		}
	}
	h.settle(time.Now())
}
