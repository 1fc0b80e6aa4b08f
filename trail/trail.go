// Package trail is the agent's memory of its node: for each container what its
// labels came to, how its last probes went, how its verdict and state changed,
// and what of that etcd has taken. It is bounded, and nothing of it leaves the
// process but by the agent's HTTP port. It knows neither Docker nor etcd: package
// agent tells it what happens, in words that are fit to be shown.
package trail

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"
)

// The bounds of the memory.
const (
	MaxProbes   = 60   // per container
	MaxVerdicts = 20   // per container: changes of the verdict
	MaxSteps    = 20   // per container: changes of what is published
	MaxGone     = 128  // containers that were removed
	MaxMoves    = 1000 // changes of state of the whole node
)

// For how long something is remembered that its bound would still hold.
const (
	KeepGone  = time.Hour // a container that was removed
	KeepMoves = time.Hour // a change of state in the node's list
)

// Trail remembers one node's containers. It may be used from anywhere; what is
// told of one container has to come in order.
type Trail struct {
	mu    sync.Mutex
	lines map[string]*Line // by ID, those that are there
	gone  []*Line          // the others, the longest gone first
	moves ring[*step]
	words reasons
	next  chan struct{} // closed at the next change
}

// New returns a Trail that remembers nothing yet.
func New() *Trail {
	return &Trail{lines: map[string]*Line{}, next: make(chan struct{})}
}

// Line returns the line of a container, a new one for one that is not there.
func (t *Trail) Line(id string) *Line {
	t.mu.Lock()
	defer t.mu.Unlock()
	l, ok := t.lines[id]
	if !ok {
		l = &Line{trail: t, id: id}
		t.lines[id] = l
	}
	return l
}

// Changed is closed when a state changes, etcd takes something, or a container
// goes. Probes alone change nothing: who shows them asks from time to time.
func (t *Trail) Changed() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.next
}

func (t *Trail) changeLocked() {
	close(t.next)
	t.next = make(chan struct{})
}

// Containers returns all that are there, by app, entrypoint, name and ID. Their
// Facts are left out: Find has them.
func (t *Trail) Containers() []Container {
	var list []Container
	for _, l := range t.all() {
		list = append(list, l.read())
	}
	slices.SortFunc(list, func(a, b Container) int {
		return cmp.Or(strings.Compare(a.App, b.App), strings.Compare(a.Entrypoint, b.Entrypoint),
			strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID))
	})
	return list
}

// all are the lines of those that are there. Each is read by itself, so that who
// tells never waits for more than one.
func (t *Trail) all() []*Line {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]*Line, 0, len(t.lines))
	for _, l := range t.lines {
		list = append(list, l)
	}
	return list
}

// Moves returns the changes of state of the last hour on this node, the oldest
// first, those of containers that are gone included. What was inherited from an
// earlier agent is none.
func (t *Trail) Moves() []Step {
	t.mu.Lock()
	defer t.mu.Unlock()
	since := time.Now().Add(-KeepMoves)
	list := make([]Step, 0, t.moves.len())
	for s := range t.moves.all() {
		if s.Detected.After(since) {
			list = append(list, s.Step)
		}
	}
	return list
}

// Remove says that a container is gone. It is remembered for a while.
func (t *Trail) Remove(id string) {
	t.mu.Lock()
	l, ok := t.lines[id]
	t.mu.Unlock()
	if !ok {
		return
	}
	facts := l.facts() // what they are made of can be large
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	delete(t.lines, id)
	l.removed, l.understood = now, func() Facts { return facts }
	t.gone = slices.DeleteFunc(append(t.gone, l), func(g *Line) bool { return now.Sub(g.removed) > KeepGone })
	t.gone = slices.Delete(t.gone, 0, max(0, len(t.gone)-MaxGone))
	t.changeLocked()
}
