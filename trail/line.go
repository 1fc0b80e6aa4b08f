package trail

import "time"

// Line is what is remembered of one container, over all its lives. What is told
// to it costs no more than a write into a ring.
type Line struct {
	trail *Trail
	id    string

	// Guarded by trail.mu.
	name, app, entrypoint string
	started, removed      time.Time
	understood            func() Facts
	shots                 ring[shot]
	verdicts              ring[Verdict]
	steps                 ring[*step]
	number                uint64 // of the newest step
	published             Publication
}

// step is a Step that etcd may still have to take.
type step struct {
	Step
	number uint64
	done   bool // taken or overtaken
}

// Identity is whom a line is about.
type Identity struct {
	Name, App, Entrypoint string
	Started               time.Time
}

// Understood says who the container is and how it was understood; facts is called
// when somebody asks, from any goroutine, so that nobody pays for what nobody reads.
func (l *Line) Understood(who Identity, facts func() Facts) {
	l.trail.mu.Lock()
	defer l.trail.mu.Unlock()
	l.name, l.app, l.entrypoint, l.started, l.understood = who.Name, who.App, who.Entrypoint, who.Started, facts
}

// Probed remembers a probe, and the verdict if it is another one than before.
func (l *Line) Probed(v Verdict) {
	l.trail.mu.Lock()
	defer l.trail.mu.Unlock()
	l.shots.add(newShot(v.Probe, &l.trail.words), MaxProbes)
	if l.verdicts.len() > 0 && v.same(l.verdicts.last()) {
		return
	}
	l.verdicts.add(v, MaxVerdicts)
}

func (v Verdict) same(was Verdict) bool {
	return v.Pass == was.Pass && v.Void == was.Void && v.Reason == was.Reason && (v.Pass || v.Name == was.Name)
}

// Stepped remembers a change of what is published and returns its number, by
// which Published knows it again.
func (l *Line) Stepped(s Step) uint64 {
	l.trail.mu.Lock()
	defer l.trail.mu.Unlock()
	l.number++
	s.ID, s.Name, s.App, s.Entrypoint = l.id, l.name, l.app, l.entrypoint
	added := &step{Step: s, number: l.number, done: s.Inherited}
	l.steps.add(added, MaxSteps)
	if s.From != s.To && !s.Inherited {
		l.trail.moves.add(added, MaxMoves)
	}
	l.trail.changeLocked()
	return l.number
}

// Published says that etcd has taken the step of that number: what was to be said
// before it and was not taken is overtaken. A deletion overtakes all; its number
// does not matter.
func (t *Trail) Published(id string, number uint64, p Publication) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.findLocked(id)
	if l == nil || p.Deleted && l.removed.IsZero() { // it lives on under another key
		return
	}
	l.published = p
	for s := range l.steps.all() {
		switch {
		case s.done || s.number > number && !p.Deleted:
		case s.number == number && !p.Deleted:
			s.Step.Published, s.done = p, true
		default:
			s.Overtaken, s.done = true, true
		}
	}
	t.changeLocked()
}

// findLocked is the line of a container, the newest of those that are gone if it
// is not there.
func (t *Trail) findLocked(id string) *Line {
	if l, ok := t.lines[id]; ok {
		return l
	}
	for i := len(t.gone) - 1; i >= 0; i-- {
		if t.gone[i].id == id {
			return t.gone[i]
		}
	}
	return nil
}

// facts are how the container was understood last.
func (l *Line) facts() Facts {
	l.trail.mu.Lock()
	understood := l.understood
	l.trail.mu.Unlock()
	if understood == nil {
		return Facts{}
	}
	return understood()
}

// read is the line without its facts.
func (l *Line) read() Container {
	l.trail.mu.Lock()
	defer l.trail.mu.Unlock()
	c := Container{ID: l.id, Name: l.name, App: l.app, Entrypoint: l.entrypoint, Started: l.started, Removed: l.removed,
		Probes: make([]Probe, 0, l.shots.len()), Verdicts: make([]Verdict, 0, l.verdicts.len()), Steps: make([]Step, 0, l.steps.len()),
		Published: l.published}
	for s := range l.shots.all() {
		c.Probes = append(c.Probes, s.probe(&l.trail.words))
	}
	for v := range l.verdicts.all() {
		c.Verdicts = append(c.Verdicts, v)
	}
	for s := range l.steps.all() {
		c.Steps = append(c.Steps, s.Step)
	}
	return c
}
