package status

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// vectors is one file of testdata/vectors; its README.md says what all of it
// means.
type vectors struct {
	About  string                 `json:"about"`
	Values map[string]vectorValue `json:"values"`
	Cases  []vectorCase           `json:"cases"`
}

type vectorValue struct {
	JSON json.RawMessage `json:"json"`
	Text string          `json:"text"`
	Size int             `json:"size"`
}

func (v vectorValue) bytes(t *testing.T) []byte {
	t.Helper()
	b := []byte(v.Text)
	if v.JSON != nil {
		var compact bytes.Buffer
		if err := json.Compact(&compact, v.JSON); err != nil {
			t.Fatal(err)
		}
		b = compact.Bytes()
	}
	return append(b, bytes.Repeat([]byte(" "), max(v.Size-len(b), 0))...)
}

type vectorCase struct {
	Name   string       `json:"name"`
	Reader vectorReader `json:"reader"`
	Steps  []vectorStep `json:"steps"`
}

type vectorReader struct {
	PanicShare float64 `json:"panic_share"`
	Hold       string  `json:"hold"`
	Scope      Scope   `json:"scope"`
}

type vectorStep struct {
	Why      string            `json:"why"`
	List     map[string]string `json:"list"`
	Put      map[string]string `json:"put"`
	Delete   []string          `json:"delete"`
	Revision int64             `json:"revision"`
	Lost     bool              `json:"lost"`
	Wait     string            `json:"wait"`
	Restart  string            `json:"restart"`

	Expect     map[string]vectorSet `json:"expect"`
	Unreadable map[string]uint64    `json:"unreadable"`
}

type vectorSet struct {
	Ready     []string                     `json:"ready"`
	Drain     []string                     `json:"drain"`
	None      []string                     `json:"none"`
	Panic     bool                         `json:"panic"`
	Silent    []string                     `json:"silent"`
	Endpoints map[string]map[string]string `json:"endpoints"`
}

func TestVectors(t *testing.T) {
	files, err := filepath.Glob("testdata/vectors/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are %d files, %v", len(files), err)
	}
	for _, file := range files {
		var all vectors
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		strict := json.NewDecoder(bytes.NewReader(b))
		strict.DisallowUnknownFields()
		if err := strict.Decode(&all); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, c := range all.Cases {
			t.Run(strings.TrimSuffix(filepath.Base(file), ".json")+"/"+c.Name, func(t *testing.T) {
				r := &vectorRun{t: t, values: all.Values, reader: c.Reader, now: time.Unix(1e9, 0)}
				r.begin(nil)
				for i, step := range c.Steps {
					r.step(fmt.Sprintf("step %d (%s)", i+1, step.Why), step)
				}
			})
		}
	}
}

// vectorRun is one case on its way.
type vectorRun struct {
	t        *testing.T
	values   map[string]vectorValue
	reader   vectorReader
	view     *View
	now      time.Time
	revision int64
	lost     bool
}

// begin starts a reader with a copy, nil for none.
func (r *vectorRun) begin(saved *document) {
	r.t.Helper()
	cfg := ViewConfig{Scope: r.reader.Scope, PanicShare: r.reader.PanicShare}
	if r.reader.Hold != "" {
		cfg.Hold = r.duration(r.reader.Hold)
	}
	r.view = NewView(NewStore(Config{Prefix: "/eru"}, zap.NewNop()), cfg, zap.NewNop())
	r.view.reading.raw = map[string]stored{}
	if saved != nil {
		b, err := json.Marshal(saved)
		if err != nil {
			r.t.Fatal(err)
		}
		d, err := parseCopy(b, r.view.store.keys, cfg.Scope)
		if err != nil {
			r.t.Fatal(err)
		}
		r.view.restore(d, r.now)
	}
}

func (r *vectorRun) step(name string, s vectorStep) {
	r.t.Helper()
	if s.Revision != 0 {
		r.revision = s.Revision
	} else if s.List == nil {
		r.revision++
	}
	switch {
	case s.List != nil:
		r.lost = false
		l := newListing(r.revision)
		for _, key := range slices.Sorted(maps.Keys(s.List)) {
			l.add(r.view.store.keys, r.reader.Scope, r.stored(key, s.List[key]))
		}
		r.view.listedAt(l, r.now)
	case s.Put != nil || s.Delete != nil:
		r.view.watchedAt(r.revision, r.events(s), r.now)
	case s.Lost:
		r.lost = true
		r.view.lost(errors.New("lost"))
	case s.Wait != "":
		r.wait(r.duration(s.Wait))
	case s.Restart == "with copy":
		saved := r.view.document()
		r.begin(&saved)
	case s.Restart == "without copy":
		r.begin(nil)
	default:
		r.t.Fatalf("%s: does nothing", name)
	}
	if s.Expect != nil {
		r.expect(name, s.Expect)
	}
	if got := r.view.State().Unreadable; s.Unreadable != nil && !maps.Equal(got, s.Unreadable) {
		r.t.Errorf("%s: counted %v, want %v", name, got, s.Unreadable)
	}
}

func (r *vectorRun) stored(key, value string) *mvccpb.KeyValue {
	r.t.Helper()
	v, ok := r.values[value]
	if !ok {
		r.t.Fatalf("there is no value %q", value)
	}
	return &mvccpb.KeyValue{Key: []byte("/eru/" + key), Value: v.bytes(r.t), ModRevision: r.revision}
}

func (r *vectorRun) events(s vectorStep) []*clientv3.Event {
	r.t.Helper()
	var events []*clientv3.Event
	for _, key := range slices.Sorted(maps.Keys(s.Put)) {
		events = append(events, &clientv3.Event{Type: clientv3.EventTypePut, Kv: r.stored(key, s.Put[key])})
	}
	for _, key := range s.Delete {
		events = append(events, &clientv3.Event{Type: clientv3.EventTypeDelete, Kv: &mvccpb.KeyValue{Key: []byte("/eru/" + key), ModRevision: r.revision}})
	}
	return events
}

// wait lets time pass, in which the reader looks at its clock when it has to and
// at etcd every ten seconds.
func (r *vectorRun) wait(d time.Duration) {
	r.t.Helper()
	end, look := r.now.Add(d), r.now.Add(lookEvery)
	for {
		next := end
		if due := r.view.machine.next(); !due.IsZero() && due.Before(next) {
			next = due
		}
		if look.Before(next) {
			next, look = look, look.Add(lookEvery)
		}
		r.now = next
		r.view.tick(r.now)
		if !r.lost {
			if err := r.view.lookedAt(max(r.revision, r.view.reading.seen), r.now); err != nil {
				r.t.Fatal(err)
			}
		}
		if r.now.Equal(end) {
			return
		}
	}
}

func (r *vectorRun) duration(s string) time.Duration {
	r.t.Helper()
	d, err := time.ParseDuration(s)
	if err != nil {
		r.t.Fatal(err)
	}
	return d
}

func (r *vectorRun) expect(name string, want map[string]vectorSet) {
	r.t.Helper()
	got := map[string]vectorSet{}
	for _, s := range r.view.Services() {
		service := s.App + "/" + s.Entrypoint
		got[service] = set(s, want[service])
	}
	if reflect.DeepEqual(got, want) {
		return
	}
	g, _ := json.Marshal(got)
	w, _ := json.Marshal(want)
	r.t.Errorf("%s:\n got %s\nwant %s", name, g, w)
}

// set is a service as the vectors write it, as far as want asks.
func set(s *Service, want vectorSet) vectorSet {
	v := vectorSet{Panic: s.Panic}
	if want.Silent != nil {
		v.Silent = []string{}
	}
	if want.Endpoints != nil {
		v.Endpoints = map[string]map[string]string{}
	}
	for _, srv := range s.Servers {
		id := srv.Key.ID
		list := map[Use]*[]string{UseReady: &v.Ready, UseDrain: &v.Drain, UseNone: &v.None}[srv.Use]
		*list = append(*list, id)
		if srv.Silent && want.Silent != nil {
			v.Silent = append(v.Silent, id)
		}
		if _, asked := want.Endpoints[id]; asked {
			v.Endpoints[id] = srv.Status.Endpoints
		}
	}
	return v
}
