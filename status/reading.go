package status

import (
	"fmt"
	"reflect"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// believeAfter is how long a node's agent has to be there before a read is
// believed that unexpectedly did not show its keys. An agent compares its keys
// with etcd once a minute, and writes again what is missing.
const believeAfter = 2 * time.Minute

// reading is what is known of etcd from what was read. It is no more than a
// function of that: it reads no clock and no etcd itself.
type reading struct {
	keys   layout
	scope  Scope
	faults *faults
	known  Tree
	seen   int64 // the highest revision heard of
	// doubted are keys that are known and were not shown by a read which is not
	// believed, and since when.
	doubted map[string]time.Time
	raw     map[string]stored // what stands in etcd, for the copy; nil for none
}

// stored is a value as it stands in etcd.
type stored struct {
	value    []byte
	revision int64
}

func newReading(keys layout, scope Scope, f *faults) *reading {
	return &reading{keys: keys, scope: scope, faults: f, known: NewTree(), doubted: map[string]time.Time{}}
}

// watched takes the events of one revision, and returns what they change.
func (r *reading) watched(revision int64, events []*clientv3.Event) []Change {
	r.seen = max(r.seen, revision)
	var changes []Change
	for _, ev := range events {
		key := string(ev.Kv.Key)
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
// since.
func (r *reading) listed(l listing, now time.Time) []Change {
	for _, found := range l.faults {
		r.faults.note(found)
	}
	past := l.revision < r.seen
	var changes []Change
	for k, e := range l.Containers {
		key := r.keys.container(k)
		was, ok := r.known.Containers[k]
		switch {
		case past && ok && e.Status.Seq < was.Status.Seq: // older than what is known
		case !ok || !reflect.DeepEqual(was, e):
			changes = append(changes, r.pass(key, stored{l.raw[key], e.Revision}, Change{Put: &e}))
		}
	}
	for name, n := range l.Nodes {
		key := r.keys.node(name)
		if r.known.Nodes[name] != n {
			changes = append(changes, r.pass(key, stored{l.raw[key], l.revision}, Change{NodeUp: &n}))
		}
	}
	changes = append(changes, r.missing(l, past, now)...)
	r.seen = l.revision
	return changes
}

// missing returns what is known and was not listed. All containers gone at once
// are not believed yet, and neither is a store of the past, which its agents are
// about to fill again.
func (r *reading) missing(l listing, past bool, now time.Time) []Change {
	var changes []Change
	lack := func(key string, doubt bool, c Change) {
		_, since := r.doubted[key]
		switch {
		case l.keys[key]:
			delete(r.doubted, key)
		case !doubt:
			changes = append(changes, r.pass(key, stored{revision: l.revision}, c))
		case !since:
			r.doubted[key] = now
		}
	}
	for k := range r.known.Containers {
		lack(r.keys.container(k), past || len(l.Containers) == 0, Change{Deleted: &k})
	}
	for name := range r.known.Nodes {
		lack(r.keys.node(name), past || len(l.Containers)+len(l.Nodes) == 0, Change{NodeGone: name})
	}
	return changes
}

// looked takes etcd's revision at a moment when it was well, and returns what is
// to be believed by now. An error says that etcd has gone back in time.
func (r *reading) looked(revision int64, now time.Time) ([]Change, error) {
	if revision < r.seen {
		return nil, fmt.Errorf("etcd went back in time, from revision %d to %d (restored from a backup?)", r.seen, revision)
	}
	var changes []Change
	for key, since := range r.doubted {
		c := r.keys.readDeletion(key, r.scope)
		if c.Deleted != nil && !r.present(c.Deleted.Node) {
			r.doubted[key] = now // nobody is there who could have written it
			continue
		}
		if now.Sub(since) >= believeAfter {
			changes = append(changes, r.pass(key, stored{revision: revision}, c))
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
