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
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
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
// revision. It goes on when etcd was away. Where there are several members it follows each of them, so that it sees what
// any one of them tells.
type Witness struct {
	t       testing.TB
	prefix  string
	client  *clientv3.Client
	members []*clientv3.Client // each goes to one alone

	mu      sync.Mutex
	events  []Event
	seen    int64         // revision of the last event
	changed chan struct{} // closed at the next event
	ended   error
	marks   int
}

func watch(t testing.TB, cfg clientv3.Config, prefix string) *Witness {
	t.Helper()
	w := &Witness{t: t, prefix: prefix + "/", changed: make(chan struct{})}
	w.client = w.connect(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	var following sync.WaitGroup
	for _, endpoint := range cfg.Endpoints {
		one := cfg
		one.Endpoints = []string{endpoint}
		member := w.client
		if len(cfg.Endpoints) > 1 {
			member = w.connect(one)
		}
		w.members = append(w.members, member)
		following.Go(func() { w.follow(ctx, member) })
	}
	t.Cleanup(func() { // before the clients are closed
		cancel()
		following.Wait()
	})
	return w
}

func (w *Witness) connect(cfg clientv3.Config) *clientv3.Client {
	w.t.Helper()
	cfg.DialKeepAliveTime, cfg.DialKeepAliveTimeout = 10*time.Second, 3*time.Second
	cfg.DialOptions = append(cfg.DialOptions[:len(cfg.DialOptions):len(cfg.DialOptions)], grpc.WithConnectParams(grpc.ConnectParams{
		Backoff: backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1, MaxDelay: 50 * time.Millisecond}, MinConnectTimeout: time.Second,
	}))
	client, err := clientv3.New(cfg)
	if err != nil {
		w.t.Fatalf("connecting to etcd: %v", err)
	}
	w.t.Cleanup(func() { _ = client.Close() })
	return client
}

// follow hears one member until ctx ends. The client goes on by itself when the member was away, unless what it wants to
// hear next has been compacted meanwhile; the others may have told that already.
func (w *Witness) follow(ctx context.Context, member *clientv3.Client) {
	for ctx.Err() == nil {
		w.mu.Lock()
		from, ended := w.seen+1, w.ended
		w.mu.Unlock()
		if ended != nil {
			return
		}
		for resp := range member.Watch(ctx, w.prefix, clientv3.WithPrefix(), clientv3.WithRev(from)) {
			w.hear(resp)
		}
	}
}

func (w *Witness) hear(resp clientv3.WatchResponse) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	// Unlike one revision that is gone, a member that has lost its leader or its mind is no loss of anything.
	if err := resp.Err(); err != nil && (resp.CompactRevision == 0 && len(w.members) == 1 || resp.CompactRevision > w.seen+1) {
		w.ended = err
	}
	heard := w.seen
	for _, e := range resp.Events {
		if e.Kv.ModRevision <= heard { // another member has told it
			continue
		}
		event := Event{Revision: e.Kv.ModRevision, Key: strings.TrimPrefix(string(e.Kv.Key), w.prefix), Lease: e.Kv.Lease, At: now}
		if e.Type != clientv3.EventTypeDelete {
			event.Value = append([]byte{}, e.Kv.Value...)
		}
		w.events = append(w.events, event)
		w.seen = e.Kv.ModRevision
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

// Since are all changes after the first n, in order.
func (w *Witness) Since(n int) []Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.events[n:])
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

// Put writes a key under the prefix and returns the revision, once the witness has seen it. Where there are several
// members, one of them may be away.
func (w *Witness) Put(key, value string, opts ...clientv3.OpOption) int64 {
	w.t.Helper()
	revision, err := w.put(w.prefix+key, value, opts...)
	if err != nil {
		w.t.Fatalf("writing %q: %v", key, err)
	}
	w.Await(w.t, "key "+key, func() bool {
		e, ok := w.Last(key)
		return ok && e.Revision >= revision
	}, func() string { return "no such revision" })
	return revision
}

func (w *Witness) put(key, value string, opts ...clientv3.OpOption) (int64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	for {
		for _, member := range w.members {
			within := Patience
			if len(w.members) > 1 {
				within = time.Second
			}
			try, stop := context.WithTimeout(ctx, within)
			resp, err := member.Put(try, key, value, opts...)
			stop()
			if err == nil {
				return resp.Header.Revision, nil
			}
			if ctx.Err() != nil || len(w.members) == 1 {
				return 0, err
			}
		}
	}
}

// Returning begins to ask etcd to take a write, through whichever member, and returns what waits for that and says when it
// was.
func (w *Witness) Returning() func() time.Time {
	ctx, cancel := context.WithTimeout(context.Background(), 2*Patience)
	taken := make(chan time.Time, len(w.members))
	var asking sync.WaitGroup
	for _, member := range w.members {
		asking.Go(func() {
			for ctx.Err() == nil {
				try, stop := context.WithTimeout(ctx, 300*time.Millisecond)
				_, err := member.Put(try, w.prefix+"witness/writes", "")
				stop()
				if err == nil {
					taken <- time.Now()
					return
				}
			}
		})
	}
	return func() time.Time {
		w.t.Helper()
		defer asking.Wait()
		defer cancel()
		select {
		case at := <-taken:
			return at
		case <-ctx.Done():
			w.t.Fatal("waiting for etcd to take a write")
			return time.Time{}
		}
	}
}
