package status_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/projecteru2/eru-agent/status"
)

func TestAcknowledge(t *testing.T) {
	onBoth(t, map[string]func(*testing.T, *env){
		"under a session, to the byte":                  acknowledged,
		"the newest of several":                         newestRecord,
		"what stands there is not written":              quietReader,
		"a new session has the record again":            newReaderSession,
		"etcd away delays and keeps no one":             readerWithoutEtcd,
		"a reader of the same name is followed":         nextReader,
		"what it was is what stands there":              disturbedReader,
		"a write that is given up changes no newer one": lateRecord,
	})
}

func TestReaders(t *testing.T) {
	onBoth(t, map[string]func(*testing.T, *env){
		"garbage is told and stands for nothing": garbledReaders,
		"they are followed":                      followedReaders,
	})
}

func TestAcknowledgeWantsAName(t *testing.T) {
	s := newStore(t, status.Config{Endpoints: []string{"http://127.0.0.1:1"}, Prefix: "/eru", Timeout: hasty})
	for _, name := range []string{"", "a/b", "*", strings.Repeat("x", 129)} {
		if err := s.Acknowledge(t.Context(), name, time.Minute, nil); err == nil || !strings.Contains(err.Error(), "want 1 to 128 of [A-Za-z0-9._-]") {
			t.Errorf("name %q: %v", name, err)
		}
	}
}

func TestSends(t *testing.T) {
	k := status.Key{App: "shop", Entrypoint: "web", Node: "n1", ID: "c1"}
	for follows, want := range map[string]bool{
		"shop/web": true, "shop/*": true, "*/*": true, "*/web": true,
		"shop/api": false, "other/*": false, "shop": false, "": false, "shop/web/x": false,
	} {
		if got := (status.Reader{Follows: []string{"a/b", follows}}).Sends(k); got != want {
			t.Errorf("%q sends to %v: %t", follows, k, got)
		}
	}
	if (status.Reader{}).Sends(k) {
		t.Error("one that follows nothing sends")
	}
}

func record(instance string, drained ...string) status.Reader {
	r := status.Reader{Kind: "haproxy", Version: "v1", Machine: "m1", Started: moment, Instance: instance, Follows: []string{"shop/*"}, Drained: map[string]int64{}}
	for i, id := range drained {
		r.Drained[id] = int64(i + 1)
	}
	return r
}

// acknowledge keeps a record until the returned function is called.
func acknowledge(t *testing.T, s *status.Store, ttl time.Duration, records <-chan status.Reader) func() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Acknowledge(ctx, "lb1", ttl, records) }()
	var ended bool
	end := func() {
		cancel()
		if ended {
			return
		}
		ended = true
		if err := <-done; err != nil {
			t.Errorf("it ended with %v", err)
		}
	}
	t.Cleanup(end)
	return end
}

// holds waits until the record is what is wanted.
func (e *env) holds(r status.Reader) int64 {
	e.t.Helper()
	var rev int64
	eventually(e.t, "the record "+string(r.Encode()), func() bool {
		var value string
		value, rev = e.get("/reader/lb1")
		return value == string(r.Encode())
	})
	return rev
}

// leaseOf is the lease that a key hangs on.
func (e *env) leaseOf(key string) clientv3.LeaseID {
	e.t.Helper()
	resp, err := e.server.Client().Get(context.Background(), e.prefix+key)
	if err != nil || len(resp.Kvs) == 0 {
		e.t.Fatalf("%s: %v, %v", key, resp, err)
	}
	return clientv3.LeaseID(resp.Kvs[0].Lease)
}

func acknowledged(t *testing.T, e *env) {
	records := make(chan status.Reader)
	end := acknowledge(t, e.store(unhurried), time.Minute, records)
	records <- record("i1", "c1", "c2")
	e.holds(record("i1", "c1", "c2"))
	value, _ := e.get("/reader/lb1")
	lease := e.leaseOf("/reader/lb1")
	golden(t, "reader.golden", fmt.Appendf(nil, "/reader/lb1 lease=%v\n%s\n", lease != 0, value))
	records <- status.Reader{}
	e.holds(status.Reader{Follows: []string{}, Drained: map[string]int64{}})
	close(records) // is no end
	end()
	left, err := e.server.Client().TimeToLive(context.Background(), lease)
	if err != nil || left.TTL <= 0 {
		t.Errorf("after the end the session has %+v, %v", left, err)
	}
	e.revoke(lease)
}

func newestRecord(t *testing.T, e *env) {
	proxy := e.proxy()
	proxy.Cut()
	records := make(chan status.Reader)
	acknowledge(t, e.store(hasty), time.Minute, records)
	for n := range 100 {
		records <- record(fmt.Sprint(n))
	}
	before := e.revision()
	proxy.Resume()
	if rev := e.holds(record("99")); rev != before+1 {
		t.Errorf("the newest was written in revision %d, want %d", rev, before+1)
	}
}

func quietReader(t *testing.T, e *env) {
	records := make(chan status.Reader)
	acknowledge(t, e.store(unhurried), time.Minute, records)
	records <- record("i1")
	before := e.holds(record("i1"))
	for range 10 {
		records <- record("i1")
	}
	records <- record("i1", "c1")
	if rev := e.holds(record("i1", "c1")); rev != before+1 {
		t.Errorf("revision %d, want %d", rev, before+1)
	}
}

func newReaderSession(t *testing.T, e *env) {
	records := make(chan status.Reader)
	acknowledge(t, e.store(unhurried), 2*time.Second, records)
	records <- record("i1", "c1")
	before := e.holds(record("i1", "c1"))
	lease := e.leaseOf("/reader/lb1")
	e.revoke(lease)
	eventually(t, "the record under another session", func() bool {
		_, rev := e.get("/reader/lb1")
		return rev > before && e.leaseOf("/reader/lb1") != lease
	})
	e.holds(record("i1", "c1"))
}

func readerWithoutEtcd(t *testing.T, e *env) {
	proxy := e.proxy()
	records := make(chan status.Reader)
	acknowledge(t, e.store(hasty), 2*time.Second, records)
	records <- record("i1")
	e.holds(record("i1"))
	proxy.Hold()
	records <- record("i1", "c1") // nobody waits for etcd here
	records <- record("i1", "c2")
	eventually(t, "its session to run out", func() bool { _, rev := e.get("/reader/lb1"); return rev == 0 })
	proxy.Resume()
	e.holds(record("i1", "c2"))
}

func nextReader(t *testing.T, e *env) {
	first, second := make(chan status.Reader), make(chan status.Reader)
	end := acknowledge(t, e.store(unhurried), time.Minute, first)
	first <- record("i1", "c1")
	e.holds(record("i1", "c1"))
	old := e.leaseOf("/reader/lb1")
	end()
	acknowledge(t, e.store(unhurried), time.Minute, second)
	second <- record("i2")
	e.holds(record("i2"))
	e.revoke(old)
	e.holds(record("i2"))
}

// A foreign hand, or a write that was thought lost, is found by the next write
// and does not keep it.
func disturbedReader(t *testing.T, e *env) {
	records := make(chan status.Reader)
	acknowledge(t, e.store(unhurried), time.Minute, records)
	records <- record("i1")
	e.holds(record("i1"))
	e.put("/reader/lb1", "foreign")
	records <- record("i1", "c1")
	e.holds(record("i1", "c1"))
	e.delete("/reader/lb1")
	records <- record("i1", "c2")
	e.holds(record("i1", "c2"))
}

func lateRecord(t *testing.T, e *env) {
	proxy := e.proxy()
	records := make(chan status.Reader)
	acknowledge(t, e.store(hasty), time.Minute, records)
	records <- record("i1")
	e.holds(record("i1"))
	proxy.Slow(2 * hasty)
	for n := range 5 {
		records <- record(fmt.Sprint(n))
	}
	eventually(t, "one that was given up", func() bool { value, _ := e.get("/reader/lb1"); return value != string(record("i1").Encode()) })
	proxy.Resume()
	records <- record("last")
	rev := e.holds(record("last"))
	e.put("/mark", "")
	records <- record("i1", "c1") // and what was underway has landed
	e.holds(record("i1", "c1"))
	if resp, err := e.server.Client().Get(context.Background(), e.prefix+"/reader/lb1", clientv3.WithRev(e.revision()-1)); err != nil || resp.Kvs[0].ModRevision != rev {
		t.Errorf("before the last write it was of %v (%v), want %d", resp, err, rev)
	}
}

func garbledReaders(t *testing.T, e *env) {
	e.put("/reader/good", string(record("i1", "c1").Encode()))
	e.put("/reader/json", "{")
	e.put("/reader/large", `{"kind":"`+strings.Repeat("x", 1<<20)+`"}`)
	e.put("/reader/year", `{"started":"9999-12-31T23:59:59-23:59"}`)
	e.put("/reader/a/b", string(record("i1").Encode()))
	e.put("/reader/", string(record("i1").Encode()))
	e.put("/readers", "")
	got, err := e.store(unhurried).Readers(t.Context())
	if err != nil || len(got.Live) != 1 || !bytes.Equal(got.Live["good"].Encode(), record("i1", "c1").Encode()) {
		t.Errorf("%+v, %v", got.Live, err)
	}
	whys := map[string]string{}
	for _, u := range got.Unread {
		whys[strings.TrimPrefix(u.Key, e.prefix)] = u.Why
		if u.Err == nil || u.Revision == 0 {
			t.Errorf("%+v", u)
		}
	}
	if want := (map[string]string{"/reader/json": "json", "/reader/large": "size", "/reader/year": "json", "/reader/a/b": "key", "/reader/": "key"}); !maps.Equal(whys, want) {
		t.Errorf("unread %v, want %v", whys, want)
	}
}

// followReaders tells what it sees of them.
func followReaders(t *testing.T, s *status.Store) <-chan status.Readers {
	ctx, cancel := context.WithCancel(context.Background())
	seen, done := make(chan status.Readers), make(chan struct{})
	go func() {
		defer close(done)
		_ = s.FollowReaders(ctx, func(r status.Readers) {
			select {
			case seen <- r:
			case <-ctx.Done():
			}
		})
	}()
	t.Cleanup(func() { cancel(); <-done })
	return seen
}

// until receives until ok.
func until[T any](t *testing.T, what string, seen <-chan T, ok func(T) bool) T {
	t.Helper()
	late := time.After(patience)
	var last T
	for {
		select {
		case last = <-seen:
			if ok(last) {
				return last
			}
		case <-late:
			t.Fatalf("waited in vain: %s; last %+v", what, last)
		}
	}
}

func followedReaders(t *testing.T, e *env) {
	e.put("/reader/a", string(record("a").Encode()))
	proxy := e.proxy()
	s := e.store(hasty)
	s.SetRelistEvery(100 * time.Millisecond)
	seen := followReaders(t, s)
	names := func(want ...string) func(status.Readers) bool {
		return func(r status.Readers) bool { return slices.Equal(slices.Sorted(maps.Keys(r.Live)), want) }
	}
	until(t, "the first", seen, names("a"))
	e.put("/reader/b", string(record("b").Encode()))
	until(t, "another", seen, names("a", "b"))
	e.put("/reader/b", "{") // leaves it as it was
	got := until(t, "garbage", seen, func(r status.Readers) bool { return len(r.Unread) == 1 })
	if got.Live["b"].Instance != "b" {
		t.Errorf("garbage made of it %+v", got.Live)
	}
	proxy.Cut()
	e.put("/reader/b", string(record("b", "c1").Encode()))
	e.delete("/reader/a")
	proxy.Resume()
	got = until(t, "what happened meanwhile", seen, func(r status.Readers) bool { return names("b")(r) && len(r.Unread) == 0 })
	if got.Live["b"].Drained["c1"] != 1 {
		t.Errorf("%+v", got.Live)
	}
}

// FuzzDecodeReader holds that no record makes a reader of it panic, and that
// what is written is what is read.
func FuzzDecodeReader(f *testing.F) {
	f.Add(record("i1", "c1").Encode())
	f.Add([]byte(`{"started":"9999-12-31T23:59:59-23:59"}`))
	f.Add([]byte(`{"drained":{"":-1,"x":9223372036854775807}}`))
	f.Add([]byte(`{"follows":["a/b","*/*","/",""],"kind":"\ud800"}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, value []byte) {
		r, err := status.DecodeReader(value)
		if err != nil {
			return
		}
		r.Sends(container(1))
		wrote := r.Encode()
		again, err := status.DecodeReader(wrote)
		if err != nil {
			t.Fatalf("%q is written as %q: %v", value, wrote, err)
		}
		if twice := again.Encode(); !bytes.Equal(wrote, twice) {
			t.Errorf("written as %q, then as %q", wrote, twice)
		}
	})
}
