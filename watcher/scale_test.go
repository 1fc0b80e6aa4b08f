package watcher

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

func TestThousandContainers(t *testing.T) {
	const n = 1000
	f := newFixture(t, dockertest.Config{})
	for i := range n {
		f.s.Run(ours(fmt.Sprintf("c%d", i)))
	}
	f.s.ForgetEvents()
	f.run()
	f.until(Synced, "")
	if wrong := f.compare(); wrong != "" {
		t.Error(wrong)
	}
	if got := f.s.Requests(dockertest.Inspect); got != n {
		t.Errorf("%d inspects of %d containers", got, n)
	}
	if got := f.s.Requests(dockertest.List); got != 1 {
		t.Errorf("%d listings", got)
	}
	if c := f.corrections(); c != 0 {
		t.Errorf("%d corrections", c)
	}
}

// 5,000 lives of 500 containers end in the truth and leave nothing behind.
func TestStorm(t *testing.T) {
	const containers, lives = 500, 10
	before, routines := descriptors(t), runtime.NumGoroutine()
	f := newFixture(t, dockertest.Config{DeathLag: 20 * time.Millisecond})
	f.w.listEvery = 100 * time.Millisecond
	f.run()
	var storm sync.WaitGroup
	for worker := range 4 {
		storm.Go(func() {
			for i := worker; i < containers; i += 4 {
				c := f.s.Run(ours(fmt.Sprintf("c%d", i)))
				live(f.s, c.ID, i, lives)
			}
		})
	}
	over := make(chan struct{})
	go func() { storm.Wait(); close(over) }()
	for done := false; !done; {
		select {
		case e := <-f.w.Events():
			f.note(e)
		case <-over:
			done = true
		}
	}
	f.truth()
	f.finish()
	f.s.Down()
	f.await("goroutines have ended", func() bool { return runtime.NumGoroutine() <= routines })
	if now := descriptors(t); now > before {
		t.Errorf("%d descriptors, had %d", now, before)
	}
}

func live(s *dockertest.Server, id string, i, lives int) {
	for life := range lives - 1 {
		switch (i + life) % 3 {
		case 0:
			s.Restart(id)
		case 1:
			s.Die(id, life)
			s.Start(id)
		case 2:
			s.Kill(id, "KILL")
			s.Start(id)
		}
	}
	switch i % 4 {
	case 1:
		s.Stop(id)
	case 2:
		s.Remove(id)
	case 3:
		s.Pause(id)
	}
}

// A reader that does not read costs no more than one word for each container,
// and then reads the newest.
func TestSlowReader(t *testing.T) {
	const containers = 20
	f := started(t, dockertest.Config{SlowReader: patience}) // whose stream, however, is read
	for i := range containers {
		c := f.s.Run(ours(fmt.Sprintf("c%d", i)))
		live(f.s, c.ID, i, 30)
	}
	n := len(f.s.Containers())
	if lost := f.s.Lost(); lost != 0 {
		t.Fatalf("%d events were lost on the way", lost)
	}
	f.w.queue.mu.Lock()
	words, order := len(f.w.queue.words), len(f.w.queue.order)
	f.w.queue.mu.Unlock()
	if words > containers+1 || order != words {
		t.Errorf("%d words, %d in order, for %d containers", words, order, containers)
	}
	events := 0
	f.s.Unpause(f.fence)
	f.s.Rename(f.fence, "fence2")
	for wrong := "?"; wrong != ""; wrong = f.compare() {
		f.next()
		events++
	}
	if events > 5*n {
		t.Errorf("%d events told of %d containers", events, n)
	}
}

func TestQueue(t *testing.T) {
	q := newQueue()
	for i := range 10000 {
		q.add(fmt.Sprint(i%10), func(w *word) { w.ended = i })
	}
	<-q.ready
	select {
	case <-q.ready:
		t.Error("more than one nudge")
	default:
	}
	for i := range 10 {
		w, ok := q.take()
		if !ok || w.id != fmt.Sprint(i) || w.ended != 9990+i {
			t.Errorf("took %+v, %v", w, ok)
		}
	}
	if w, ok := q.take(); ok || len(q.words) != 0 {
		t.Errorf("took %+v from an empty queue", w)
	}
}
