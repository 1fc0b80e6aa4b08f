package cmd

import (
	"sync"
	"time"

	"github.com/projecteru2/eru-agent/status"
)

// tidings are what has become known since the last frame.
type tidings struct {
	changes []status.Change // of containers and nodes: one for each, the newest
	drains  *status.Drains  // nil: as before
	vigil   *status.Vigil   // nil: as before
	synced  bool            // all that etcd held at one revision is known
	lost    error           // why etcd cannot be followed, nil if it can be
	since   time.Time       // of lost
}

// inbox gathers news between two frames. Of each container and node it holds the
// newest only, so it is bounded by their number, however long nobody takes.
type inbox struct {
	mu      sync.Mutex
	news    tidings // its changes are empty
	changes map[any]status.Change
}

func newInbox() *inbox { return &inbox{changes: map[any]status.Change{}} }

// change takes what Follow tells.
func (i *inbox) change(c status.Change, now time.Time) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case c.Put != nil:
		i.changes[c.Put.Key] = c
	case c.Deleted != nil:
		i.changes[*c.Deleted] = c
	case c.NodeUp != nil:
		i.changes[c.NodeUp.Nodename] = c
	case c.NodeGone != "":
		i.changes[c.NodeGone] = c
	case c.Synced:
		i.news.synced, i.news.lost = true, nil
	case c.Lost != nil:
		if i.news.lost == nil {
			i.news.since = now
		}
		i.news.lost = c.Lost
	}
}

func (i *inbox) drains(d status.Drains) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.news.drains = &d
}

func (i *inbox) vigil(v status.Vigil) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.news.vigil = &v
}

// waiting counts the changes that nobody has taken yet.
func (i *inbox) waiting() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.changes)
}

// take hands all news over.
func (i *inbox) take() tidings {
	i.mu.Lock()
	defer i.mu.Unlock()
	n := i.news
	for _, c := range i.changes {
		n.changes = append(n.changes, c)
	}
	clear(i.changes)
	i.news.drains, i.news.vigil = nil, nil
	return n
}
