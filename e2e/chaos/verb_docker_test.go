package chaos

import (
	"math"
	"strconv"

	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

// questions are what Docker may be asked, as patterns of the fake one.
func questions() map[string]string {
	return map[string]string{
		"list": dockertest.List, "inspect": dockertest.Inspect, "events": dockertest.Events,
		"subscribing": dockertest.Subscribing, "all": dockertest.Everything,
	}
}

func dockerVerbs() map[string]verb {
	which := []string{"list", "inspect", "events", "subscribing", "all"}
	return map[string]verb{
		"lose":       {2, false, []string{"1", "3", "99"}, (*world).lose},
		"repeat":     {1, false, nil, (*world).repeat},
		"reorder":    {1, false, nil, (*world).reorder},
		"hear":       {1, false, nil, (*world).hear},
		"forget":     {1, false, nil, (*world).forget},
		"cut":        {1, false, []string{"off", "end"}, (*world).cutStreams},
		"hang":       {2, false, which, (*world).hang},
		"refuse":     {2, false, which[:3], (*world).refuse},
		"answer":     {2, false, nil, (*world).answerAgain},
		"dockerd":    {2, false, []string{"away", "dead"}, (*world).dockerAway},
		"dockerd-up": {2, false, nil, (*world).dockerUp},
	}
}

// lose drops the next events.
func (w *world) lose(s step) bool {
	n, _ := strconv.Atoi(s.arg)
	w.deaf, w.lost = append(w.deaf, w.crowd.DropEvents(dockertest.Next(n))), true
	return true
}

func (w *world) repeat(step) bool {
	w.deaf = append(w.deaf, w.crowd.DuplicateEvents(dockertest.Next(math.MaxInt)))
	return true
}

// reorder holds an event back until the next one. Signals keep their place: they do not say which life they were sent to.
func (w *world) reorder(step) bool {
	w.deaf, w.lost = append(w.deaf, w.crowd.ReorderEvents(dockertest.Actions("start", "die", "oom", "pause", "unpause", "rename", "destroy", "connect", "disconnect"), nil)), true
	return true
}

// hear ends what is done to events; what was lost stays lost.
func (w *world) hear(step) bool {
	for _, undo := range w.deaf {
		undo()
	}
	undone := len(w.deaf) > 0
	w.deaf = nil
	return undone
}

// forget lets Docker forget what it could tell again.
func (w *world) forget(step) bool {
	w.crowd.ForgetEvents()
	return true
}

func (w *world) cutStreams(s step) bool {
	if s.arg == "end" {
		w.crowd.EndStreams()
	} else {
		w.crowd.CutStreams()
	}
	return true
}

func (w *world) hang(s step) bool {
	w.crowd.Hang(questions()[s.arg])
	return true
}

func (w *world) refuse(s step) bool {
	w.crowd.Fail(questions()[s.arg], 500)
	return true
}

// answerAgain ends hanging and refusing.
func (w *world) answerAgain(step) bool {
	for _, pattern := range questions() {
		w.crowd.Unhang(pattern)
		w.crowd.Fail(pattern, 0)
	}
	return true
}

// dockerAway closes the way to Docker, or ends it with all that it remembers of events.
func (w *world) dockerAway(s step) bool {
	if s.arg == "away" {
		w.crowd.CutOff()
	} else {
		w.crowd.Down()
	}
	return true
}

func (w *world) dockerUp(step) bool {
	w.crowd.Up()
	return true
}

// mendDocker ends every fault, and lets the stream be opened anew if it has lost anything: Docker's next listing would come
// only in half a minute.
func (w *world) mendDocker() {
	w.hear(step{})
	w.answerAgain(step{})
	w.crowd.Up()
	if w.lost {
		w.crowd.CutStreams()
		w.lost = false
	}
}
