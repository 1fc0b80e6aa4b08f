package status

import (
	"context"
	"encoding/json"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// SetAuditEvery makes a Writer that does not run yet look more often.
func (w *Writer) SetAuditEvery(d time.Duration) { w.auditEvery = d }

// SetLookEvery makes a Store that does not follow yet look more often.
func (s *Store) SetLookEvery(d time.Duration) { s.lookEvery = d }

// ParseKey reads a container's key under prefix.
func ParseKey(prefix, key string) (Key, error) { return newLayout(prefix).parse(key) }

// NodeIn returns the node that a container's key names.
func NodeIn(key string) string { return nodeIn(key) }

// PathOf returns the container's key under prefix.
func PathOf(prefix string, k Key) string { return newLayout(prefix).container(k) }

// Kept is the number of keys that the Writer remembers.
func (w *Writer) Kept() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.keys.entries)
}

// ForgetRefusal lets time pass after a refused password.
func (s *Store) ForgetRefusal() { s.refusal.at = time.Time{} }

// Member is the endpoint that a Store asks first; another one if that was slow to connect.
func (s *Store) Member() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cfg.Endpoints[s.first]
}

// SetRelistEvery makes a Store that does not follow yet list more often.
func (s *Store) SetRelistEvery(d time.Duration) { s.relistEvery = d }

// ReadCopy returns a View under /eru that begins with a copy.
func ReadCopy(text []byte, scope Scope) (*View, error) {
	v := NewView(NewStore(Config{Prefix: "/eru"}, zap.NewNop()), ViewConfig{Scope: scope}, zap.NewNop())
	v.reading.raw = map[string]stored{}
	d, err := parseCopy(text, v.store.keys, scope)
	if err == nil {
		v.restore(d, time.Unix(1e9, 0))
	}
	return v, err
}

// WriteCopy returns the copy that the View would write.
func (v *View) WriteCopy() ([]byte, error) { return json.Marshal(v.document()) }

// TestView is a View that a test tells what etcd says.
type TestView struct {
	*View
	revision int64
}

// NewTestView returns one of everything under /eru.
func NewTestView() *TestView {
	return &TestView{View: NewView(NewStore(Config{Prefix: "/eru"}, zap.NewNop()), ViewConfig{}, zap.NewNop())}
}

// Put tells that a key under the prefix was written.
func (v *TestView) Put(key, value string) {
	v.revision++
	v.watched(v.revision, []*clientv3.Event{{Type: clientv3.EventTypePut, Kv: &mvccpb.KeyValue{
		Key: []byte("/eru/" + key), Value: []byte(value), ModRevision: v.revision}}})
}

// Elect returns once elected.
func (s *Store) Elect(ctx context.Context, me Monitor, lease int64) (*Term, error) {
	return s.campaign(ctx, me, lease)
}

// Revision is when a Term began.
func (t *Term) Revision() int64 { return t.rev }

// Resign ends a term.
func (t *Term) Resign(ctx context.Context) { t.resign(ctx) }

// OwnerRevision is that of the owner record as it was examined.
func (r Remains) OwnerRevision() int64 { return r.owner }
