package status

import (
	"bytes"
	"strconv"
	"time"
)

// unknown is the revision of a key whose last write has no known outcome.
const unknown = -1

// entry is one key of this node, with what is projected of it: what it shall
// hold and what it is known to hold. A write is due while they differ; a write
// that failed changes only what is known, so nothing has to be queued again.
type entry struct {
	key   string
	plain []byte // the wanted value, without sequence; nil: leave the key as it is
	lease int64  // that it hangs on, 0 for none
	gone  bool   // delete, once what is wanted has been written

	rev      int64  // ModRevision known, 0 absent, or unknown
	has      []byte // value at rev, without sequence
	hasLease int64

	server *server // nil where nothing is projected into keys

	detected time.Time // when the agent learnt what is wanted
	bad      bool      // traffic must leave
	step     uint64    // of the status that is wanted
}

// want says what e shall hold.
func (e *entry) want(plain []byte, lease int64, detected time.Time, bad bool) {
	if bytes.Equal(plain, e.has) {
		plain = e.has // one is kept
	}
	e.plain, e.lease, e.detected, e.bad, e.gone = plain, lease, detected, bad, false
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
	case e.gone && e.rev == 0 && !e.server.stands():
		return forget
	case e.plain != nil && (e.rev == 0 || e.lease != e.hasLease || !bytes.Equal(e.plain, e.has) || e.server.due()):
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

// operations is the most that e takes of a transaction.
func (e *entry) operations() int {
	if e.server == nil {
		return 1
	}
	return 3
}

// removesFrom is the service of which the next transaction takes e's server away,
// "" for none.
func (e *entry) removesFrom() string {
	if e.server.stands() && (e.next() == remove || e.server.target() == serverValues{}) {
		return e.server.service
	}
	return ""
}

// unstamped ends a status that was encoded with sequence 0. A node's value ends
// otherwise, and bears no sequence.
const unstamped = `"seq":0}`

// stamp is plain as transaction seq writes it.
func stamp(plain []byte, seq uint64) []byte {
	if !bytes.HasSuffix(plain, []byte(unstamped)) {
		return plain
	}
	b := make([]byte, 0, len(plain)+20)
	b = append(b, plain[:len(plain)-len("0}")]...)
	return append(strconv.AppendUint(b, seq, 10), '}')
}

// normal is a stored value without its sequence, or as it is if it is not to
// the byte what this package writes: then it differs from every wanted one.
func normal(stored []byte) []byte {
	s, err := Decode(stored)
	if err != nil {
		return stored
	}
	if plain := s.Encode(0); bytes.Equal(stamp(plain, s.Seq), stored) {
		return plain
	}
	return stored
}
