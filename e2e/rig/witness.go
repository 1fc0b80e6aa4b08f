package rig

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Event is one change of one key, as etcd told it.
type Event struct {
	Revision int64
	Key      string // without the prefix: "status/app/web/node/id"
	Value    []byte // nil if deleted
	Lease    int64
	At       time.Time // when it was seen
}

// Deleted says whether the key was deleted.
func (e Event) Deleted() bool { return e.Value == nil }

// Status is the value of a status key, as the contract gives it.
type Status struct {
	ID        string            `json:"id"`
	Running   bool              `json:"running"`
	Healthy   bool              `json:"healthy"`
	Networks  map[string]string `json:"networks"`
	Extension string            `json:"extension"`
	V         int               `json:"v"`
	Name      string            `json:"name"`
	State     string            `json:"state"`
	Reason    string            `json:"reason"`
	Detail    string            `json:"detail"`
	Endpoints map[string]string `json:"endpoints"`
	Since     time.Time         `json:"since"`
	Started   time.Time         `json:"started"`
	Seq       uint64            `json:"seq"`
}

// Status reads the event's value.
func (e Event) Status(t testing.TB) Status {
	t.Helper()
	var s Status
	if err := json.Unmarshal(e.Value, &s); err != nil {
		t.Errorf("reading %s at revision %d: %v: %s", e.Key, e.Revision, err, e.Value)
	}
	return s
}

// Witness follows everything under a prefix of etcd, by itself: it shares no code with the agent, and keeps every
// revision. It goes on when etcd was away.
type Witness struct {
	t      testing.TB
	prefix string
	client *clientv3.Client

	mu      sync.Mutex
	events  []Event
	changed chan struct{} // closed at the next event
	ended   error
	marks   int
}

func watch(t testing.TB, cfg clientv3.Config, prefix string) *Witness {
	t.Helper()
	client, err := clientv3.New(cfg)
	if err != nil {
		t.Fatalf("connecting to etcd: %v", err)
	}
	w := &Witness{t: t, prefix: prefix + "/", client: client, changed: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	channel := client.Watch(ctx, w.prefix, clientv3.WithPrefix(), clientv3.WithRev(1))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for resp := range channel {
			w.hear(resp)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		_ = client.Close()
	})
	return w
}

func (w *Witness) hear(resp clientv3.WatchResponse) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := resp.Err(); err != nil {
		w.ended = err
	}
	for _, e := range resp.Events {
		event := Event{Revision: e.Kv.ModRevision, Key: strings.TrimPrefix(string(e.Kv.Key), w.prefix), Lease: e.Kv.Lease, At: now}
		if e.Type != clientv3.EventTypeDelete {
			event.Value = append([]byte{}, e.Kv.Value...)
		}
		w.events = append(w.events, event)
	}
	close(w.changed)
	w.changed = make(chan struct{})
}

// Events are all changes so far of keys that begin with prefix, in order.
func (w *Witness) Events(prefix string) []Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.events), func(e Event) bool { return !strings.HasPrefix(e.Key, prefix) })
}

// Last is the newest change of one key; false if there was none.
func (w *Witness) Last(key string) (Event, bool) {
	events := slices.DeleteFunc(w.Events(key), func(e Event) bool { return e.Key != key })
	if len(events) == 0 {
		return Event{}, false
	}
	return events[len(events)-1], true
}

// Await returns once ok is true, which is asked whenever something has changed; seen tells what was seen instead.
func (w *Witness) Await(t testing.TB, what string, ok func() bool, seen func() string) {
	t.Helper()
	late := time.After(Patience)
	for {
		w.mu.Lock()
		changed, ended := w.changed, w.ended
		w.mu.Unlock()
		if ok() {
			return
		}
		if ended != nil {
			t.Fatalf("waiting for %s: the witness cannot follow etcd: %v", what, ended)
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("waiting for %s in etcd: saw %s", what, seen())
		}
	}
}

// Client is for what a test does to etcd itself.
func (w *Witness) Client() *clientv3.Client { return w.client }

// Catch returns once the witness has seen everything that was in etcd when it was called, and says up to which revision
// that is.
func (w *Witness) Catch() int64 {
	w.t.Helper()
	w.mu.Lock()
	w.marks++
	key := fmt.Sprintf("witness/%d", w.marks)
	w.mu.Unlock()
	return w.Put(key, "")
}

// Put writes a key under the prefix and returns the revision, once the witness has seen it.
func (w *Witness) Put(key, value string, opts ...clientv3.OpOption) int64 {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	resp, err := w.client.Put(ctx, w.prefix+key, value, opts...)
	if err != nil {
		w.t.Fatalf("writing %q: %v", key, err)
	}
	w.Await(w.t, "key "+key, func() bool {
		e, ok := w.Last(key)
		return ok && e.Revision >= resp.Header.Revision
	}, func() string { return "no such revision" })
	return resp.Header.Revision
}
