package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

// relisted is by when all must be right that no event has told: Docker is asked for all every 30 s.
const relisted = 32 * time.Second

// TestEventsFaulty has events be lost in silence, come twice or in another order, while containers change in every way.
func TestEventsFaulty(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fault string
		begin func(*herd) func()
		limit time.Duration
		tells bool // all is told by events, sooner or later
	}{
		{"no fault, the same changes", func(*herd) func() { return func() {} }, returned, true},
		{"half of Docker's events dropped", func(h *herd) func() { return h.DropEvents(dockertest.Share(0.5)) }, relisted, false},
		{"all of Docker's events dropped", func(h *herd) func() { return h.DropEvents(dockertest.Share(1)) }, relisted, false},
		{"half of Docker's events doubled", func(h *herd) func() { return h.DuplicateEvents(dockertest.Share(0.5)) }, returned, true},
		{"half of Docker's events reordered", func(h *herd) func() { return h.ReorderEvents(dockertest.Share(0.5), nil) }, returned, true},
	} {
		t.Run(c.fault, func(t *testing.T) {
			t.Parallel()
			h := newHerd(t, newRow(t, ofDocker, c.fault, "etcd 3.7, fake Docker"), dockertest.Config{DeathLag: lag})
			a := h.n.Start().AwaitReady()
			ids := h.mend(h.change(h.joinAll(of(60, 200)))) // every kind of change has its series now
			before := baseline(t, a)
			for range of(1, 2) {
				end := c.begin(h)
				ids = h.change(ids)
				h.row.injected(len(ids))
				at := time.Now()
				end() // tells what was held back to come later, and not what was dropped
				h.row.rightAfter(h.settle(at), c.limit)
				ids = h.mend(ids)
			}
			n := corrections(t, a)
			h.row.note("corrections %d", n)
			if c.tells && n > 0 {
				h.row.wrongly("%d corrections of what events have told", n)
			}
			if !c.tells && n == 0 {
				h.row.wrongly("no correction counted")
			}
			h.row.flat(a, before)
		})
	}
}

// change does something to each container, and returns those that are there then.
func (h *herd) change(ids []string) []string {
	var left []string
	for _, id := range ids {
		switch rand.IntN(8) {
		case 0:
			h.die(id)
		case 1:
			h.restart(id, false)
		case 2:
			h.restart(id, true)
		case 3:
			h.l.is(id, "paused")
			h.Pause(id)
		case 4:
			h.Rename(id, "renamed-"+id[:12])
		case 5:
			h.Connect(id, "side", fmt.Sprintf("127.%d.%d.%d", 120+rand.IntN(80), rand.IntN(256), 1+rand.IntN(254)))
		case 6:
			h.remove(id)
			id = h.join()
		case 7:
			h.die(id)
			h.begin(id, true)
		}
		left = append(left, id)
	}
	return left
}

// mend has every container run and serve.
func (h *herd) mend(ids []string) []string {
	h.t.Helper()
	for _, id := range ids {
		switch c, _ := h.Container(id); c.Status {
		case "paused":
			h.l.is(id, "healthy", "starting")
			h.Unpause(id)
		case "exited":
			h.begin(id, false)
		}
	}
	h.settle(time.Now())
	return ids
}

// TestSlowSubscriber has Docker drop events of its own accord, because more happens than its subscriber takes.
func TestSlowSubscriber(t *testing.T) {
	t.Parallel()
	h := newHerd(t, newRow(t, ofDocker, "Docker drops what a slow reader leaves", "etcd 3.7, fake Docker"),
		dockertest.Config{DeathLag: lag, SlowReader: time.Millisecond})
	a := h.n.Start().AwaitReady()
	ids := h.mend(h.change(h.joinAll(of(60, 200))))
	before := baseline(t, a)
	for range of(1, 2) {
		h.Hang(dockertest.Events)
		for lost := h.Lost(); h.Lost() < lost+of(500, 5000); {
			h.listened()
			for range 100 {
				h.Rename(ids[rand.IntN(len(ids))], "flood")
			}
		}
		ids = h.change(ids)
		h.row.injected(1)
		at := time.Now()
		h.Unhang(dockertest.Events)
		h.row.rightAfter(h.settle(at), relisted)
		ids = h.mend(ids)
	}
	h.row.note("events lost %d, corrections %d", h.Lost(), corrections(t, a))
	h.row.flat(a, before)
}

// listened returns once the agent listens to Docker's events, which do not come: it may just have been opening another stream.
func (h *herd) listened() {
	h.l.row.t.Helper()
	if h.Streams() > 0 {
		return
	}
	h.Unhang(dockertest.Events)
	ctx, cancel := context.WithTimeout(context.Background(), rig.Patience)
	defer cancel()
	if err := h.AwaitStreams(ctx, 1); err != nil {
		h.l.row.t.Fatal(err)
	}
	h.Hang(dockertest.Events)
}

// TestDockerForgets has Docker end all containers, or forget them, and containers go while no agent runs.
func TestDockerForgets(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fault string
		agent bool // an agent runs meanwhile
		lives bool // the containers' processes do
	}{
		{"Docker ends and forgets all, as in a reboot", true, false},
		{"Docker forgets all, agent away", false, false},
		{"Docker forgets all that live on", true, true},
	} {
		t.Run(c.fault, func(t *testing.T) {
			t.Parallel()
			h := newHerd(t, newRow(t, ofDocker, c.fault, "etcd 3.7, fake Docker"), dockertest.Config{DeathLag: lag})
			a := h.n.Start().AwaitReady()
			before := baseline(t, a)
			for range of(2, 6) {
				ids := h.joinAll(of(20, 100))
				if !c.agent {
					a.Kill()
				}
				h.row.injected(1)
				h.vanish(ids, c.lives)
				at := time.Now()
				h.Up()
				if !c.agent {
					a = h.n.Start().AwaitReady()
					at = time.Now()
				}
				h.reappear(ids, c.lives, at)
			}
			h.row.flat(a, before)
		})
	}
}

// vanish has Docker go and lose what it knows.
func (h *herd) vanish(ids []string, lives bool) {
	for _, id := range ids {
		if !lives {
			h.l.goes(id)
			h.b.End(id)
		}
	}
	if lives {
		h.Down()
	} else {
		h.Shutdown()
	}
	h.Forget()
}

// reappear waits for what must follow from that: what has ended goes away, what lives on stays until it ends.
func (h *herd) reappear(ids []string, lives bool, at time.Time) {
	h.t.Helper()
	if !lives {
		h.row.rightAfter(h.settle(at), returned)
		return
	}
	streams, cancel := context.WithTimeout(h.t.Context(), rig.Patience)
	defer cancel()
	if err := h.AwaitStreams(streams, 1); err != nil {
		h.t.Fatal(err)
	}
	<-time.After(time.Second) // it must not follow, so there is nothing to wait for
	h.l.nothingNew()
	at = time.Now()
	for _, id := range ids {
		h.l.goes(id)
		h.b.End(id)
	}
	h.row.rightAfter(h.settle(at), returned)
}
