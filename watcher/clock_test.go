package watcher

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

// settable is a Docker whose wall clock can be set.
func settable(t *testing.T, listEvery time.Duration) (*fixture, func(wrong time.Duration)) {
	t.Helper()
	var wrong atomic.Int64
	f := newFixture(t, dockertest.Config{Clock: func() time.Time { return time.Now().Add(time.Duration(wrong.Load())) }})
	f.w.listEvery = listEvery
	return f.start(), func(d time.Duration) { wrong.Store(int64(d)) }
}

// A life that began after a die is believed, also where the clock was set back between the two.
func TestStartAfterClockWasSetBack(t *testing.T) {
	f, set := settable(t, time.Hour)
	web := f.s.Run(ours("web"))
	f.expect(Running, web.ID)
	f.s.Die(web.ID, 1)
	f.expect(Exited, web.ID)
	set(-time.Hour)
	f.s.Start(web.ID)
	if now, _ := f.s.Container(web.ID); !f.expect(Running, web.ID).Container.Started.Equal(now.StartedAt) {
		t.Error("that is not the life that runs")
	}
	f.tells()
}

// A clock that was set back makes Docker replay what was heard long ago, the end of an earlier life among it.
func TestReplayAfterClockWasSetBack(t *testing.T) {
	f, set := settable(t, 100*time.Millisecond)
	web := f.s.Run(ours("web"))
	f.expect(Running, web.ID)
	f.s.Die(web.ID, 1)
	f.expect(Exited, web.ID)
	set(-time.Hour)
	f.s.Start(web.ID)
	f.expect(Running, web.ID)
	for range 3 {
		f.s.CutStreams()
		f.tells()
		f.awaitFlowing()
	}
}
