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
}

func newInventory() inventory {
	return inventory{entries: map[string]*entry{}, waiting: map[*entry]bool{}}
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
		}
	}
}

// batch limits of one transaction: etcd takes 128 operations (FACTS) and
// 1.5 MiB.
const (
	maxKeys  = 120
	maxBytes = 1 << 20
)

// pick returns the entries of the next transaction, and how many wait, these
// included: bad news first, then what has waited longest. Values that hang on a lease go alone, because a lease
// that is gone fails the whole transaction.
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
	size := 0
	for i, e := range due {
		size += len(e.plain) + len(e.key)
		if i == maxKeys || (i > 0 && size > maxBytes) || (i > 0 && (e.lease != 0) != (due[0].lease != 0)) {
			return due[:i], len(due)
		}
	}
	return due, len(due)
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
