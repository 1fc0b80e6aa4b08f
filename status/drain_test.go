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
	"unicode"
	"unicode/utf8"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/projecteru2/eru-agent/status"
)

func TestDrains(t *testing.T) {
	onBoth(t, map[string]func(*testing.T, *env){
		"keys and values to the byte":           goldenDrains,
		"it ends by itself":                     endingDrain,
		"another one takes its place and lease": replacedDrain,
		"garbage is told and changes nothing":   garbledDrains,
		"they are followed":                     followedDrains,
		"etcd of the past":                      drainsOfThePast,
		"without etcd it says so":               drainWithoutEtcd,
	})
}

func wish(by string) status.Drain {
	return status.Drain{By: by, Reason: "a new disk", Until: moment.Add(10 * time.Minute)}
}

func on(id string) status.DrainKey { return status.DrainKey{Node: "node1", ID: id} }

func putDrain(t *testing.T, s *status.Store, k status.DrainKey, d status.Drain, lasts time.Duration) {
	t.Helper()
	if err := s.PutDrain(t.Context(), k, d, lasts); err != nil {
		t.Fatal(err)
	}
}

func goldenDrains(t *testing.T, e *env) {
	s := e.store(unhurried)
	putDrain(t, s, on("c1"), status.Drain{By: "ops@host", Reason: "a \x1b[31mnew\ndisk", Until: moment.In(time.FixedZone("", 3600))}, 10*time.Minute)
	putDrain(t, s, on(status.WholeNode), status.Drain{By: "ops@host"}, 0)
	resp, err := e.server.Client().Get(t.Context(), e.prefix+"/", clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	for _, kv := range resp.Kvs {
		fmt.Fprintf(&got, "%s lease=%v\n%s\n\n", bytes.TrimPrefix(kv.Key, []byte(e.prefix)), kv.Lease != 0, kv.Value)
	}
	golden(t, "drain.golden", got.Bytes())
	for _, id := range []string{"c1", status.WholeNode} {
		if was, err := s.DeleteDrain(t.Context(), on(id)); err != nil || !was {
			t.Errorf("taking back %s: %t, %v", id, was, err)
		}
		if was, err := s.DeleteDrain(t.Context(), on(id)); err != nil || was {
			t.Errorf("taking back %s again: %t, %v", id, was, err)
		}
	}
	if d, err := s.Drains(t.Context()); err != nil || len(d.Wishes) != 0 {
		t.Errorf("left: %+v, %v", d, err)
	}
}

func endingDrain(t *testing.T, e *env) {
	s := e.store(unhurried)
	putDrain(t, s, on("c1"), wish("a"), 1500*time.Millisecond)
	left, err := e.server.Client().TimeToLive(t.Context(), e.leaseOf("/drain/node1/c1"))
	if err != nil || left.GrantedTTL != 2 {
		t.Errorf("its lease is of %+v, %v", left, err)
	}
	seen := followDrains(t, s, "node1")
	until(t, "its beginning", seen, func(d status.Drains) bool { return len(d.Wishes) == 1 })
	until(t, "its end", seen, func(d status.Drains) bool { return len(d.Wishes) == 0 })
}

func replacedDrain(t *testing.T, e *env) {
	s := e.store(unhurried)
	putDrain(t, s, on("c1"), wish("a"), time.Minute)
	first := e.leaseOf("/drain/node1/c1")
	putDrain(t, s, on("c1"), wish("b"), 0)
	e.revoke(first)
	if d, err := s.Drains(t.Context()); err != nil || d.Wishes[on("c1")] != wish("b") {
		t.Errorf("%+v, %v", d, err)
	}
}

func garbledDrains(t *testing.T, e *env) {
	for key, value := range map[string]string{
		"/drain/node1/good": `{"by":"a","until":"2024-02-29T12:40:15Z","more":[1]}`, "/drain/node1/cut": "{", "/drain/node1/none": "", "/drain/node1/null": "null",
		"/drain/node1/until": `{"until":"next week"}`, "/drain/node1/year": `{"until":"9999-12-31T23:59:59-23:59"}`,
		"/drain/node1/large": `{"by":"` + strings.Repeat("x", 1<<20) + `"}`, "/drain/node1/a/b": "{}", "/drain/node1/": "{}", "/drain/node1/**": "{}",
		"/drain/node1/" + strings.Repeat("x", 129): "{}", "/drain/node2/c1": `{"by":"b"}`, "/drain/": "{}", "/drain/node3": "{}", "/drains": "{}",
	} {
		e.put(key, value)
	}
	good := status.Drain{By: "a", Until: time.Date(2024, 2, 29, 12, 40, 15, 0, time.UTC)}
	all, err := e.store(unhurried).Drains(t.Context())
	want := map[status.DrainKey]status.Drain{on("good"): good, {Node: "node2", ID: "c1"}: {By: "b"}}
	if err != nil || !maps.Equal(all.Wishes, want) {
		t.Errorf("%+v, %v", all.Wishes, err)
	}
	one := until(t, "the first", followDrains(t, e.store(unhurried), "node1"), func(status.Drains) bool { return true })
	if !maps.Equal(one.Wishes, map[status.DrainKey]status.Drain{on("good"): good}) {
		t.Errorf("of node1: %+v", one.Wishes)
	}
	var got []string
	for _, u := range one.Unread {
		got = append(got, fmt.Sprintf("%.8s %s", strings.TrimPrefix(u.Key, e.prefix+"/drain/node1/"), u.Why))
	}
	if want := []string{" key", "** key", "a/b key", "cut json", "large size", "none json", "null json", "until json", "xxxxxxxx key", "year json"}; !slices.Equal(got, want) {
		t.Errorf("unread %q, want %q", got, want)
	}
}

// followDrains tells what it sees of a node's.
func followDrains(t *testing.T, s *status.Store, node string) <-chan status.Drains {
	ctx, cancel := context.WithCancel(context.Background())
	seen, done := make(chan status.Drains), make(chan struct{})
	go func() {
		defer close(done)
		_ = s.FollowDrains(ctx, node, func(d status.Drains) {
			select {
			case seen <- d:
			case <-ctx.Done():
			}
		})
	}()
	t.Cleanup(func() { cancel(); <-done })
	return seen
}

func by(who string) func(status.Drains) bool {
	return func(d status.Drains) bool {
		if who == "" {
			return len(d.Wishes) == 0
		}
		return d.Wishes[on("c1")].By == who
	}
}

func followedDrains(t *testing.T, e *env) {
	proxy, direct := e.proxy(), newStore(t, status.Config{Endpoints: []string{"http://" + e.server.Address()}, Prefix: e.prefix, Timeout: unhurried})
	s := e.store(hasty)
	s.SetRelistEvery(100 * time.Millisecond)
	seen := followDrains(t, s, "node1")
	until(t, "that there is none", seen, by(""))
	putDrain(t, direct, status.DrainKey{Node: "node2", ID: "c1"}, wish("x"), 0)
	putDrain(t, direct, on("c1"), wish("a"), time.Minute)
	until(t, "a wish", seen, by("a"))
	e.put("/drain/node1/c1", "{")
	got := until(t, "garbage", seen, func(d status.Drains) bool { return len(d.Unread) == 1 })
	if !by("a")(got) || len(got.Wishes) != 1 {
		t.Errorf("garbage made of it %+v", got)
	}
	proxy.Cut()
	putDrain(t, direct, on("c1"), wish("b"), time.Minute)
	proxy.Resume()
	until(t, "what happened meanwhile", seen, by("b"))
	proxy.Hold()
	if _, err := direct.DeleteDrain(t.Context(), on("c1")); err != nil {
		t.Fatal(err)
	}
	proxy.Resume()
	until(t, "that it was taken back", seen, by(""))
}

// drainsOfThePast loses all of etcd's data. A watch would say nothing of that
// until the old revision is reached again.
func drainsOfThePast(t *testing.T, e *env) {
	s := e.store(hasty)
	s.SetRelistEvery(100 * time.Millisecond)
	putDrain(t, s, on("c1"), wish("a"), 0)
	for range 20 {
		e.put("/other", "")
	}
	seen := followDrains(t, s, "node1")
	until(t, "a wish", seen, by("a"))
	e.server.Wipe()
	e.server.Restart()
	until(t, "that there is none any more", seen, by(""))
	e.put("/drain/node1/c1", string(wish("b").Encode()))
	until(t, "another one", seen, by("b"))
}

func drainWithoutEtcd(t *testing.T, e *env) {
	e.proxy().Cut()
	s := e.store(hasty)
	if err := s.PutDrain(t.Context(), on("c1"), wish("a"), time.Minute); err == nil || !strings.HasPrefix(err.Error(), `writing "`+e.prefix+`/drain/node1/c1" to etcd at `) {
		t.Errorf("wishing: %v", err)
	}
	if _, err := s.DeleteDrain(t.Context(), on("c1")); err == nil || !strings.HasPrefix(err.Error(), `deleting "`+e.prefix+`/drain/node1/c1" from etcd at `) {
		t.Errorf("taking back: %v", err)
	}
	if _, err := s.Drains(t.Context()); err == nil || !strings.HasPrefix(err.Error(), `reading "`+e.prefix+`/drain/" from etcd at `) {
		t.Errorf("reading: %v", err)
	}
}

func TestDrainIsOver(t *testing.T) {
	for name, tt := range map[string]struct {
		until time.Time
		want  bool
	}{
		"no end": {time.Time{}, false}, "later": {moment.Add(1), false}, "now": {moment, true}, "earlier": {moment.Add(-1), true},
		"the first year": {time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC), true}, "the last year": {time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), false},
	} {
		if got := (status.Drain{Until: tt.until}).Over(moment); got != tt.want {
			t.Errorf("%s: over %t", name, got)
		}
	}
}

func TestTextsOfDrainAreTidy(t *testing.T) {
	for text, want := range map[string]string{
		"":                        "",
		" a\tnew \r\n disk\x00 ":  "a new disk?",
		"\x1b[2Jcleared\u202e\a":  "?[2Jcleared??",
		"\xff\xfe é":              "?? é",
		strings.Repeat("x", 100):  strings.Repeat("x", 100),
		strings.Repeat("x", 101):  strings.Repeat("x", 97) + "…",
		strings.Repeat("é", 2000): strings.Repeat("é", 48) + "…",
		strings.Repeat("x ", 99):  strings.TrimRight(strings.Repeat("x ", 49)[:97], " ") + "…",
	} {
		d, err := status.DecodeDrain(status.Drain{By: text, Reason: text}.Encode())
		if err != nil || d.By != want || d.Reason != want {
			t.Errorf("%.40q is read as %q (%v), want %q", text, d.By, err, want)
		}
	}
}

// FuzzDecodeDrain holds that no value does harm to whoever reads or shows it,
// and that what is written is what is read.
func FuzzDecodeDrain(f *testing.F) {
	f.Add(wish("a").Encode())
	f.Add([]byte(`{"by":"\u001b[31m\n","reason":"\ud800\u2028","until":"0000-01-01T00:00:00+23:59"}`))
	f.Add([]byte(`{"until":"9999-12-31T23:59:59-23:59"}`))
	f.Add([]byte("{\"by\":\"\xff\",\"reason\":\"" + strings.Repeat("é", 400) + "\"}"))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, value []byte) {
		d, err := status.DecodeDrain(value)
		if err != nil {
			return
		}
		for _, text := range []string{d.By, d.Reason} {
			if len(text) > status.MaxDrainText || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
				t.Errorf("a text of %q is %q", value, text)
			}
		}
		wrote := d.Encode()
		again, err := status.DecodeDrain(wrote)
		if err != nil || again != d {
			t.Fatalf("%q is written as %q and read as %+v (%v), not %+v", value, wrote, again, err, d)
		}
	})
}
