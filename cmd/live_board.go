package cmd

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/projecteru2/eru-agent/foreign"
	"github.com/projecteru2/eru-agent/status"
)

// boardRow is one container on the board; it does not change.
type boardRow struct {
	status.Entry
	order    string    // of the table
	severity int       // of its state, the worst first
	moved    time.Time // when its state changed here; zero if it has not
}

// board is the containers of the fleet in the order in which they are shown. A
// change of one costs a search and a shift of pointers, no sorting.
type board struct {
	opts  statusOptions
	sort  boardSort
	words []string // what was typed as a filter, in lower case

	rows   map[status.Key]*boardRow // all that the flags let through
	nodes  map[string]status.Node
	shown  []*boardRow // those that words let through
	counts map[status.State]int
	hosts  map[string]int // how many of rows each node has
}

// boardSort is the order of a board.
type boardSort struct {
	by      sortKey
	reverse bool
}

type sortKey int

const (
	byName   sortKey = iota // as in the plain table
	byState                 // the worst first
	byChange                // the newest first
	byNode
	sortKeys // how many there are
)

func (k sortKey) String() string {
	return [sortKeys]string{"app", "state", "change", "node"}[k]
}

func newBoard(o statusOptions) *board {
	b := &board{opts: o, rows: map[status.Key]*boardRow{}, nodes: map[string]status.Node{}, hosts: map[string]int{}}
	b.arrange()
	return b
}

// apply takes one change and returns how far the row that stands at anchor has
// moved by it. flash says that a new state is worth a look.
func (b *board) apply(c status.Change, now time.Time, flash bool, anchor int) int {
	switch {
	case c.NodeUp != nil:
		b.nodes[c.NodeUp.Nodename] = *c.NodeUp
	case c.NodeGone != "":
		delete(b.nodes, c.NodeGone)
	case c.Deleted != nil:
		return b.remove(*c.Deleted, anchor)
	case c.Put != nil:
		if !b.opts.wants(c.Put.Key) {
			return 0
		}
		r := newBoardRow(*c.Put)
		if old := b.rows[r.Key]; old == nil || old.Status.State != r.Status.State || !old.Status.Since.Equal(r.Status.Since) {
			if flash {
				r.moved = now
			}
		} else {
			r.moved = old.moved
		}
		moved := b.remove(r.Key, anchor)
		return moved + b.insert(r, anchor+moved)
	}
	return 0
}

func newBoardRow(e status.Entry) *boardRow {
	s := &e.Status
	s.Networks, s.Extension, s.Check = nil, "", nil // nobody looks at them here
	s.Name, s.Reason, s.Detail, s.State = foreign.Text(s.Name), foreign.Text(s.Reason), foreign.Text(s.Detail), status.State(foreign.Text(string(s.State)))
	return &boardRow{Entry: e, order: tableOrder(e), severity: slices.Index(worstFirst(), s.State)}
}

// insert returns by how much the row at anchor has moved.
func (b *board) insert(r *boardRow, anchor int) int {
	if !b.opts.inState(r.Status.State) {
		return 0
	}
	b.rows[r.Key] = r
	b.hosts[r.Key.Node]++
	if !b.matches(r) {
		return 0
	}
	b.counts[r.Status.State]++
	at, _ := slices.BinarySearchFunc(b.shown, r, b.compare)
	b.shown = slices.Insert(b.shown, at, r)
	if at < anchor {
		return 1
	}
	return 0
}

func (b *board) remove(k status.Key, anchor int) int {
	r := b.rows[k]
	if r == nil {
		return 0
	}
	delete(b.rows, k)
	if b.hosts[k.Node]--; b.hosts[k.Node] == 0 {
		delete(b.hosts, k.Node)
	}
	at, found := slices.BinarySearchFunc(b.shown, r, b.compare)
	if !found {
		return 0
	}
	b.counts[r.Status.State]--
	b.shown = slices.Delete(b.shown, at, at+1)
	if at < anchor {
		return -1
	}
	return 0
}

// arrange filters and sorts anew.
func (b *board) arrange() {
	b.shown, b.counts = b.shown[:0], map[status.State]int{}
	for _, r := range b.rows {
		if b.matches(r) {
			b.shown = append(b.shown, r)
			b.counts[r.Status.State]++
		}
	}
	slices.SortFunc(b.shown, b.compare)
}

func (b *board) compare(x, y *boardRow) int {
	n := 0
	switch b.sort.by {
	case byState:
		n = cmp.Compare(x.severity, y.severity)
	case byChange:
		n = y.Status.Since.Compare(x.Status.Since)
	case byNode:
		n = strings.Compare(x.Key.Node, y.Key.Node)
	}
	n = cmp.Or(n, strings.Compare(x.order, y.order))
	if b.sort.reverse {
		return -n
	}
	return n
}

// worstFirst are the states in the order in which a person should look at them.
func worstFirst() []status.State {
	return []status.State{
		status.StateLost, status.StateInvalid, status.StateUnhealthy, status.StateDraining,
		status.StatePaused, status.StateStarting, status.StateStopped, status.StateHealthy,
	}
}

// matches says whether every word is found in the row: anywhere, or, as
// "app:shop", in what it names.
func (b *board) matches(r *boardRow) bool {
	for _, word := range b.words {
		if !r.has(word) {
			return false
		}
	}
	return true
}

func (r *boardRow) has(word string) bool {
	s := r.Status
	if field, text, named := strings.Cut(word, ":"); named {
		switch field {
		case "app":
			return strings.Contains(strings.ToLower(r.Key.App), text)
		case "node":
			return strings.Contains(strings.ToLower(r.Key.Node), text)
		case "state": // from its beginning: "healthy" is not "unhealthy"
			return strings.HasPrefix(string(s.State), text)
		}
	}
	for _, text := range []string{r.Key.App, r.Key.Entrypoint, r.Key.Node, s.Name, r.Key.ID, string(s.State), s.Reason, s.Detail} {
		if strings.Contains(strings.ToLower(text), word) {
			return true
		}
	}
	return false
}

// fleetNodes counts the nodes: alive, stopping, and silent ones of which
// containers are known.
func (b *board) fleetNodes() (int, int, []string) {
	alive, stopping := 0, 0
	for name, n := range b.nodes {
		switch {
		case b.opts.node != "" && b.opts.node != name:
		case n.Agent.State == status.NodeStopping:
			stopping++
		default:
			alive++
		}
	}
	var silent []string
	for name := range b.hosts {
		if _, there := b.nodes[name]; !there {
			silent = append(silent, name)
		}
	}
	return alive, stopping, silent
}
