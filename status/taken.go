package status

import "time"

// Taken says that etcd has taken what was wanted of a container, or of the
// canary.
type Taken struct {
	Key      Key    // zero if it is the canary's
	Canary   bool   // it is the canary's
	Step     uint64 // of the Status that was written, or the Canary's Seq
	Deleted  bool   // its key was deleted
	Revision int64
	At       time.Time
}

// Tell has tell told what etcd has taken, in order, before Wait returns. It has
// to be called before Run, whose goroutine calls tell: nothing is written
// meanwhile.
func (w *Writer) Tell(tell func(Taken)) { w.tell = tell }

func (w *Writer) tellOf(b batch, revision int64) {
	now := time.Now()
	for i, e := range b.entries {
		k, err := w.store.keys.parse(e.key)
		canary := err != nil && e.key == w.store.keys.canary(w.id.Node)
		if err == nil || canary { // else it is the node's own
			w.tell(Taken{Key: k, Canary: canary, Step: b.writes[i].step, Deleted: b.writes[i].value == nil, Revision: revision, At: now})
		}
	}
}
