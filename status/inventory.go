package status

import (
	"cmp"
	"slices"
)

// inventory is the node's keys, and which of them wait for a transaction, so
// that a node of thousands pays for what changes and not for what it has.
type inventory struct {
	entries map[string]*entry
	waiting map[*entry]bool
	servers map[string]*entry // those that have one, by where it stands
}

func newInventory() inventory {
	return inventory{entries: map[string]*entry{}, waiting: map[*entry]bool{}, servers: map[string]*entry{}}
}

// change lets do alter what stands under key, if it is there or create is true.
func (v *inventory) change(key string, create bool, do func(*entry)) {
	e, ok := v.entries[key]
	if !ok {
		if !create {
			return
		}
		e = &entry{key: key}
		v.entries[key] = e
	}
	do(e)
	v.sort(e)
}

// sort has to be called when e may need something else than before.
func (v *inventory) sort(e *entry) {
	if e.next() == nothing {
		delete(v.waiting, e)
		return
	}
	v.waiting[e] = true
}

// doubt says that nothing is known any more of what e's keys hold.
func (v *inventory) doubt(e *entry) {
	e.rev = unknown
	if e.server != nil {
		e.server.rev = [2]int64{unknown, unknown}
	}
	v.sort(e)
}

// due counts the entries for which a transaction has something to do.
func (v *inventory) due() int {
	n := 0
	for e := range v.waiting {
		if e.due() {
			n++
		}
	}
	return n
}

// prune forgets what came and went without a word to etcd. No transaction may be
// in flight.
func (v *inventory) prune() {
	for e := range v.waiting {
		if e.next() == forget {
			delete(v.waiting, e)
			delete(v.entries, e.key)
			v.unserve(e)
		}
	}
}

// serve gives e, which is k's, a server. A container that moves from app a-b and
// entrypoint c to app a and entrypoint b-c takes its server along.
func (v *inventory) serve(e *entry, k Key) *server {
	if e.server != nil {
		return e.server
	}
	s := newServer(k)
	if former, ok := v.servers[s.at]; ok {
		s, former.server = former.server, nil
		v.sort(former)
	}
	e.server, v.servers[s.at] = s, e
	return s
}

// unserve lets go of e's server, wherever it stands.
func (v *inventory) unserve(e *entry) {
	if e.server != nil {
		delete(v.servers, e.server.at)
		e.server = nil
	}
}

// batch limits of one transaction: etcd takes 128 operations (FACTS), conditions
// and answers, transactions in it count by their depth, and 1.5 MiB.
const (
	maxOperations = 120
	maxBytes      = 1 << 20
)

// pick returns the entries of the next transaction, and how many wait, these
// included: bad news first, then what hangs on a lease, then what has waited longest. Values that hang on a lease go with others of that
// lease alone, because a lease that is gone fails the whole transaction; and each service loses one server at a time.
func (v *inventory) pick() ([]*entry, int) {
	var due []*entry
	for e := range v.waiting {
		if e.due() {
			due = append(due, e)
		}
	}
	slices.SortFunc(due, func(a, b *entry) int {
		return cmp.Or(rank(a)-rank(b), a.detected.Compare(b.detected), cmp.Compare(a.key, b.key))
	})
	picked, size, operations := due[:0], 0, 0
	var removing []string
	for _, e := range due {
		size += len(e.plain) + len(e.key)
		operations += e.operations()
		if operations > maxOperations || len(picked) > 0 && (size > maxBytes || e.lease != picked[0].lease) {
			break
		}
		if service := e.removesFrom(); service != "" {
			if slices.Contains(removing, service) {
				continue
			}
			removing = append(removing, service)
		}
		picked = append(picked, e)
	}
	return picked, len(due)
}

func rank(e *entry) int {
	switch {
	case e.bad:
		return 0
	case e.lease != 0:
		return 1
	default:
		return 2
	}
}
