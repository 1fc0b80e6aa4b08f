package chaos

import (
	"slices"
	"strings"

	"github.com/projecteru2/eru-agent/e2e/rig"
)

// The laws hold for every revision, whatever happens meanwhile and however late anybody hears of it. They are about order
// and about what can never be true, not about time.

// judge holds the laws against what the witness has seen since the last time. What was true is told before.
func (w *world) judge() {
	events := w.node.Since(w.judged)
	w.judged += len(events)
	for _, e := range events {
		if strings.HasPrefix(e.Key, "witness/") {
			continue
		}
		was, stood := w.current[e.Key]
		if w.current[e.Key] = e; e.Deleted() {
			delete(w.current, e.Key)
		}
		switch {
		case !strings.HasPrefix(e.Key, "status/") || w.foreign[e.Revision]:
		case e.Deleted() && stood:
			w.judgeDeletion(e, was)
		case !e.Deleted():
			w.judgeStatus(e)
		}
	}
}

// judgeDeletion holds that what goes away was stopped first, unless it lives on under another key.
func (w *world) judgeDeletion(e, was rig.Event) {
	b := w.all[idOf(e.Key)]
	if b == nil || b.tampered || len(b.names) > 1 {
		return
	}
	if state := was.Status(w.t).State; state != "stopped" {
		w.t.Errorf("revision %d deletes %s, which was %s and never said to be stopped", e.Revision, e.Key, state)
	}
}

func idOf(key string) string { return key[strings.LastIndexByte(key, '/')+1:] }

func (w *world) judgeStatus(e rig.Event) {
	s := e.Status(w.t)
	b := w.all[idOf(e.Key)]
	if b == nil || !b.kind.ours || !slices.Contains(w.keys(b), e.Key) {
		w.t.Errorf("revision %d is no key of a container that there ever was: %s %s", e.Revision, e.Key, e.Value)
		return
	}
	if b.tampered { // an agent that begins may take what it finds for its own
		return
	}
	wrong := func(what string) { w.t.Errorf("revision %d: %s: %s %s", e.Revision, what, e.Key, e.Value) }
	alive := !slices.Contains([]string{"stopped", "lost"}, s.State)
	switch {
	case s.Healthy != (s.State == "healthy") || s.Running != alive || s.ID != b.id || s.V != 1 || len(s.Detail) > 256:
		wrong("it contradicts itself")
	case e.Lease != 0:
		wrong("it hangs on a lease")
	case s.Seq < w.seq:
		wrong("it is older than what stood before")
	case s.Started.Before(w.latest[b.id]):
		wrong("it is of an earlier life than what stood before")
	}
	w.seq, w.latest[b.id] = max(w.seq, s.Seq), s.Started
	w.judgeLife(b, s, wrong)
}

// judgeLife holds what can never be true of this life, and remembers what it has been seen as.
func (w *world) judgeLife(b *box, s rig.Status, wrong func(string)) {
	p := w.lives[life{b.id, s.Started.UnixNano()}]
	if p == nil {
		wrong("there never was such a life")
		return
	}
	switch s.State {
	case "healthy":
		if b.kind.invalid || b.kind.fault != nil && !p.mayPass {
			wrong("it never answered so that it could be healthy")
		}
	case "stopped":
		if !p.dead {
			wrong("it is alive")
		}
	case "draining":
		if !p.asked {
			wrong("nobody asked it to stop")
		}
	case "paused":
		if !p.paused {
			wrong("it was never paused")
		}
	case "invalid":
		if !b.kind.invalid {
			wrong("its labels are well")
		}
	case "starting":
		if p.passed {
			wrong("it has passed before in this life")
		}
	}
	if p.stopped && s.State != "stopped" {
		wrong("its end was told before")
	}
	p.stopped = p.stopped || s.State == "stopped"
	p.passed = p.passed || s.State == "healthy" || s.State == "unhealthy"
}

// keys are all that a container may ever have stood under.
func (w *world) keys(b *box) []string {
	var all []string
	for _, name := range b.names {
		all = append(all, w.key(b, b.kind.service(name)))
	}
	return all
}

func (w *world) key(b *box, s service) string {
	return "status/" + s.app + "/" + s.entrypoint + "/" + w.node.Name + "/" + b.id
}
