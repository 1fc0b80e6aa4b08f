package status

import (
	"maps"
	"slices"
	"time"
)

// rules are what a View was told about sets.
type rules struct {
	share float64
	hold  time.Duration
}

// pool is one service: its containers, and which of them are the set.
type pool struct {
	name     serviceName
	all      []*candidate // by node and ID
	revision int64
	panics   bool
	fresh    bool      // it has had no set yet
	due      time.Time // when the next one has been held for long enough; zero for none
	// gone is when containers were deleted that had been in the set, kept for as
	// long as they would be held if they came back.
	gone map[Key]time.Time
}

func newPool(name serviceName) *pool {
	return &pool{name: name, fresh: true, gone: map[Key]time.Time{}}
}

// find returns where a container is, or would be.
func (p *pool) find(k Key) (int, bool) { return slices.BinarySearchFunc(p.all, k, byPlace) }

// add returns a container, a new one if it is not known. One that was deleted
// since the moment remembered has left the set.
func (p *pool) add(k Key, remembered time.Time) *candidate {
	i, ok := p.find(k)
	if !ok {
		left := p.gone[k].After(remembered)
		delete(p.gone, k)
		p.all = slices.Insert(p.all, i, &candidate{entry: Entry{Key: k}, left: left})
	}
	return p.all[i]
}

// remove takes a container out whose key was deleted, and returns it; nil for
// one that is not known.
func (p *pool) remove(k Key, now time.Time) *candidate {
	i, ok := p.find(k)
	if !ok {
		return nil
	}
	c := p.all[i]
	p.all = slices.Delete(p.all, i, i+1)
	if c.in || c.left {
		p.gone[k] = now
	}
	return c
}

// decide says what is done with each container. taken says whether the address
// of one that has stopped is another's by now. It returns whether such are the
// set, because nothing else is left.
func (p *pool) decide(r rules, now time.Time, taken func(*candidate) bool) bool {
	p.panics = p.share() > r.share
	lingers := false
	for _, c := range p.all {
		c.use = UseNone
		if c.entry.Status.State == StateDraining && c.living() {
			c.use = UseDrain
		}
	}
	healthy := p.admit(func(c *candidate) bool { return c.fitness() == serving && !c.heldUntil(r.hold).After(now) }) ||
		p.admit(func(c *candidate) bool { return c.fitness() == serving }) // nobody is held while there is no other
	kept := p.panics && p.admit(func(c *candidate) bool { return c.fitness() == doubtful && (c.in || p.fresh) })
	switch {
	case healthy || kept:
		p.settle()
	case p.panics:
		p.settle()
		// What was cut is better than nothing, and is no part of the set.
		p.admit(func(c *candidate) bool { return c.fitness() == doubtful })
	default:
		lingers = p.admit(func(c *candidate) bool { return c.fitness() == stopped && c.in && !taken(c) })
		p.settle()
	}
	p.fresh = false
	p.schedule(r.hold)
	maps.DeleteFunc(p.gone, func(_ Key, at time.Time) bool { return now.Sub(at) >= r.hold })
	return lingers
}

// share is how much of what runs, and has passed, does not now.
func (p *pool) share() float64 {
	var n [serving + 1]float64
	for _, c := range p.all {
		n[c.fitness()]++
	}
	if n[doubtful] == 0 {
		return 0
	}
	return n[doubtful] / (n[doubtful] + n[serving])
}

// admit makes ready what is fit, and says whether anything is.
func (p *pool) admit(fit func(*candidate) bool) bool {
	admitted := false
	for _, c := range p.all {
		if fit(c) {
			c.use, admitted = UseReady, true
		}
	}
	return admitted
}

// settle makes the set what is ready.
func (p *pool) settle() {
	for _, c := range p.all {
		if c.use == UseReady {
			c.in = true
		} else {
			c.leave()
		}
	}
}

// schedule finds when to decide again although nothing has happened.
func (p *pool) schedule(hold time.Duration) {
	p.due = time.Time{}
	for _, c := range p.all {
		if c.fitness() == serving && !c.in {
			if until := c.heldUntil(hold); p.due.IsZero() || until.Before(p.due) {
				p.due = until
			}
		}
	}
}

// show is the pool as a proxy may use it.
func (p *pool) show(here map[string]bool) *Service {
	s := &Service{App: p.name.app, Entrypoint: p.name.entrypoint, Panic: p.panics, Revision: p.revision, Servers: make([]Server, len(p.all))}
	for i, c := range p.all {
		s.Servers[i] = Server{Key: c.entry.Key, Status: c.entry.Status, Revision: c.entry.Revision, Use: c.use, Silent: !here[c.entry.Key.Node]}
	}
	return s
}
