package status

import (
	"fmt"
	"reflect"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// believeAfter is how long a node's agent has to be there before a read is
// believed that unexpectedly did not show its keys, or older values of them. An
// agent compares its keys with etcd once a minute, and writes again what is
// wrong.
const believeAfter = 2 * time.Minute

// reading is what is known of etcd from what was read. It is no more than a
// function of that: it reads no clock and no etcd itself.
type reading struct {
	keys   layout
	scope  Scope
	faults *faults
	known  Tree
	seen   int64 // the highest revision heard of
	// doubted is what reads said of known keys that is not believed yet.
	doubted map[string]doubt
	raw     map[string]stored // what stands in etcd, for the copy; nil for none
}

// stored is a value as it stands in etcd.
type stored struct {
	value    []byte
	revision int64
}

// doubt is a Change that may be one of the past.
type doubt struct {
	change Change
	stored
	since time.Time
}

func newReading(keys layout, scope Scope, f *faults) *reading {
	return &reading{keys: keys, scope: scope, faults: f, known: NewTree(), doubted: map[string]doubt{}}
}

// watched takes the events of one revision, and returns what they change.
func (r *reading) watched(revision int64, events []*clientv3.Event) []Change {
	r.seen = max(r.seen, revision)
	var changes []Change
	for _, ev := range events {
		key := string(ev.Kv.Key)
		delete(r.doubted, key)
		var c Change
		if ev.Type == clientv3.EventTypeDelete {
			c = r.keys.readDeletion(key, r.scope)
			r.faults.forget(key)
		} else {
			var found *fault
			c, found = r.keys.read(ev.Kv, r.scope)
			r.faults.note(found)
		}
		if c != (Change{}) {
			changes = append(changes, r.pass(key, stored{ev.Kv.Value, ev.Kv.ModRevision}, c))
		}
	}
	return changes
}

// pass applies a Change of key.
func (r *reading) pass(key string, s stored, c Change) Change {
	c.revision = s.revision
	r.known.Apply(c)
	delete(r.doubted, key)
	switch {
	case r.raw == nil:
	case c.Put != nil, c.NodeUp != nil:
		r.raw[key] = s
	default:
		delete(r.raw, key)
	}
	return c
}

// listed takes all that etcd held at one revision, and returns what has changed
// since. All containers gone at once are not believed yet, and neither is what a
// store of the past lacks or has in an older version: its agents are about to
// write that again.
func (r *reading) listed(l listing, now time.Time) []Change {
	for _, found := range l.faults {
		r.faults.note(found)
	}
	for key := range l.keys {
		delete(r.doubted, key)
	}
	var changes []Change
	past := l.revision < r.seen
	tell := func(key string, value []byte, c Change, believed bool) {
		s := stored{value, l.revision}
		if c.Put != nil {
			s.revision = c.Put.Revision
		}
		if believed {
			changes = append(changes, r.pass(key, s, c))
		} else if _, already := r.doubted[key]; !already {
			r.doubted[key] = doubt{c, s, now}
		}
	}
	for k, e := range l.Containers {
		if was, known := r.known.Containers[k]; !known || !reflect.DeepEqual(was, e) {
			key := r.keys.container(k)
			tell(key, l.raw[key], Change{Put: &e}, !past || !known || e.Status.Seq >= was.Status.Seq)
		}
	}
	for name, n := range l.Nodes {
		if r.known.Nodes[name] != n {
			key := r.keys.node(name)
			tell(key, l.raw[key], Change{NodeUp: &n}, true)
		}
	}
	for k := range r.known.Containers {
		if key := r.keys.container(k); !l.keys[key] {
			tell(key, nil, Change{Deleted: &k}, !past && len(l.Containers) > 0)
		}
	}
	for name := range r.known.Nodes {
		if key := r.keys.node(name); !l.keys[key] {
			tell(key, nil, Change{NodeGone: name}, !past && len(l.Containers)+len(l.Nodes) > 0)
		}
	}
	r.seen = l.revision
	return changes
}

// looked takes etcd's revision at a moment when it was well, and returns what is
// to be believed by now. An error says that etcd has gone back in time.
func (r *reading) looked(revision int64, now time.Time) ([]Change, error) {
	if revision < r.seen {
		return nil, fmt.Errorf("etcd went back in time, from revision %d to %d (restored from a backup?)", r.seen, revision)
	}
	var changes []Change
	for key, d := range r.doubted {
		if k, err := r.keys.parse(key); err == nil && !r.present(k.Node) {
			d.since = now // nobody is there who could have written it
			r.doubted[key] = d
		}
		if now.Sub(d.since) >= believeAfter {
			changes = append(changes, r.pass(key, d.stored, d.change))
		}
	}
	return changes, nil
}

// present says that a node's agent is known to be there, and not doubted.
func (r *reading) present(node string) bool {
	_, known := r.known.Nodes[node]
	_, doubted := r.doubted[r.keys.node(node)]
	return known && !doubted
}
