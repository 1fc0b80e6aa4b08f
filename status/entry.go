package status

import (
	"bytes"
	"cmp"
	"slices"
	"time"
)

// unknown is the revision of a key whose last write has no known outcome.
const unknown = -1

// value is what can be written: Status or Node.
type value interface{ Encode(seq uint64) []byte }

// entry is one key of this node: what it shall hold and what it is known to
// hold. A write is due while they differ; a write that failed changes only what
// is known, so nothing has to be queued again.
type entry struct {
	key   string
	want  value  // nil: leave the key as it is
	plain []byte // want without sequence, to compare
	lease int64  // that the wanted value hangs on, 0 for none
	gone  bool   // delete, once what is wanted has been written

	rev      int64  // ModRevision known, 0 absent, or unknown
	has      []byte // value at rev, without sequence
	hasLease int64

	detected time.Time // when the agent learnt what is wanted
	bad      bool      // traffic must leave
}

// doing is what an entry needs from the next transaction.
type doing int

const (
	nothing doing = iota
	put
	remove
	forget // gone, and never written: a reader has nothing to learn
)

func (e *entry) next() doing {
	switch {
	case e.gone && e.rev == 0:
		return forget
	case e.want != nil && (e.rev == 0 || e.lease != e.hasLease || !bytes.Equal(e.plain, e.has)):
		return put
	case e.gone:
		return remove
	default:
		return nothing
	}
}

// due says whether a transaction has something to do for the entry.
func (e *entry) due() bool {
	n := e.next()
	return n == put || n == remove
}

// batch limits of one transaction: etcd takes 128 operations (FACTS) and
// 1.5 MiB.
const (
	maxKeys  = 120
	maxBytes = 1 << 20
)

// pick returns the entries of the next transaction: bad news first, then what
// has waited longest. Values that hang on a lease go alone, because a lease
// that is gone fails the whole transaction.
func pick(entries map[string]*entry) []*entry {
	var due []*entry
	for _, e := range entries {
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
			return due[:i]
		}
	}
	return due
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

// normal is a stored value without its sequence, or as it is if it is not to
// the byte what this package writes: then it differs from every wanted one.
func normal(stored []byte) []byte {
	if s, err := Decode(stored); err == nil && bytes.Equal(s.Encode(s.Seq), stored) {
		return s.Encode(0)
	}
	return stored
}
