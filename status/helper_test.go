package status_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	// patience bounds what a test waits for; nothing is measured with it.
	patience = 20 * time.Second
	// unhurried is a timeout of calls that shall not time out, hasty of those
	// that shall.
	unhurried = 10 * time.Second
	hasty     = 300 * time.Millisecond
)

// onBoth runs cases, each with a prefix of its own, against an embedded server
// and against the program in PATH.
func onBoth(t *testing.T, cases map[string]func(*testing.T, *env)) {
	t.Helper()
	t.Parallel()
	for _, server := range []struct {
		name  string
		start func(testing.TB, ...etcdtest.Option) *etcdtest.Server
	}{{"embedded", etcdtest.Start}, {"process", etcdtest.StartProcess}} {
		t.Run(server.name, func(t *testing.T) {
			t.Parallel()
			s := server.start(t)
			for i, name := range slices.Sorted(maps.Keys(cases)) {
				t.Run(name, func(t *testing.T) {
					cases[name](t, &env{t: t, server: s, prefix: fmt.Sprintf("/eru%d", i), address: s.Address()})
				})
			}
		})
	}
}

// env is one test's part of a server.
type env struct {
	t       *testing.T
	server  *etcdtest.Server
	prefix  string
	address string // where stores connect to
}

// proxy puts a proxy in front of the server for the stores made from now on.
func (e *env) proxy() *etcdtest.Proxy {
	e.t.Helper()
	p := etcdtest.NewProxy(e.t, e.server.Address())
	e.address = p.Address()
	return p
}

func (e *env) store(timeout time.Duration) *status.Store {
	return newStore(e.t, status.Config{Endpoints: []string{"http://" + e.address}, Prefix: e.prefix, Timeout: timeout})
}

func newStore(t *testing.T, cfg status.Config) *status.Store {
	t.Helper()
	s := status.NewStore(cfg, zaptest.NewLogger(t, zaptest.Level(zap.ErrorLevel)))
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// identity of an agent on a machine.
func identity(instance, machine string) status.Identity {
	return status.Identity{Node: "node1", Instance: instance, Version: "v-" + instance, Machine: machine, Started: moment}
}

// writer is a Writer under test.
type writer struct {
	*status.Writer
	t       *testing.T
	metrics *status.WriterMetrics
	ended   chan error
}

func newWriter(t *testing.T, store *status.Store, id status.Identity, projections ...status.Projection) *writer {
	return loggingWriter(t, store, id, zap.NewNop(), projections...)
}

func loggingWriter(t *testing.T, store *status.Store, id status.Identity, log *zap.Logger, projections ...status.Projection) *writer {
	metrics := new(status.WriterMetrics)
	return &writer{status.NewWriter(store, id, log, metrics, projections...), t, metrics, make(chan error, 1)}
}

// run starts the writer; it ends with the test, or with the returned function.
func (w *writer) run(adopt func(context.Context, []status.Found) error) func() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.ended <- w.Run(ctx, adopt)
	}()
	stop := func() { cancel(); <-done }
	w.t.Cleanup(stop)
	return stop
}

func adoptNothing(context.Context, []status.Found) error { return nil }

func (w *writer) settle() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := w.Wait(ctx); err != nil {
		w.t.Fatal(err)
	}
}

// end returns what Run returned.
func (w *writer) end() error {
	w.t.Helper()
	select {
	case err := <-w.ended:
		return err
	case <-time.After(patience):
		w.t.Fatal("the writer did not end")
		return nil
	}
}

// metric returns the value of one of the writer's counters or gauges.
func (w *writer) metric(name string) float64 {
	w.t.Helper()
	n := w.metrics.Numbers()
	value, ok := map[string]float64{
		"publish_queue": float64(n.Queue), "publish_errors_total": float64(n.Errors), "publish_transactions_total": float64(n.Transactions),
		"publish_keys_total": float64(n.Keys), "publish_foreign_total": float64(n.Foreign),
	}[name]
	if !ok {
		w.t.Fatalf("there is no metric %s", name)
	}
	return value
}

var moment = time.Date(2024, 2, 29, 12, 30, 15, 123456789, time.UTC)

func container(n int) status.Key {
	return status.Key{App: "shop", Entrypoint: "web", Node: "node1", ID: fmt.Sprintf("c%04d", n)}
}

func in(state status.State, k status.Key) status.Status {
	return status.Status{ID: k.ID, Name: "shop_web_" + k.ID, State: state, Since: moment, Started: moment}
}

func (w *writer) set(k status.Key, state status.State) { w.Set(k, in(state, k), time.Now()) }

// eventually waits until ok.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-poll.C:
		case <-deadline:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// get returns the stored value and revision of a key under the prefix; 0 for
// one that is not there.
func (e *env) get(key string) (string, int64) {
	e.t.Helper()
	resp, err := e.server.Client().Get(context.Background(), e.prefix+key)
	if err != nil {
		e.t.Fatal(err)
	}
	if len(resp.Kvs) == 0 {
		return "", 0
	}
	return string(resp.Kvs[0].Value), resp.Kvs[0].ModRevision
}

func (e *env) put(key, value string, opts ...clientv3.OpOption) {
	e.t.Helper()
	if _, err := e.server.Client().Put(context.Background(), e.prefix+key, value, opts...); err != nil {
		e.t.Fatal(err)
	}
}

// putRaw and deleteRaw are of keys that do not stand under the prefix.
func (e *env) putRaw(key, value string) {
	e.t.Helper()
	if _, err := e.server.Client().Put(context.Background(), key, value); err != nil {
		e.t.Fatal(err)
	}
}

func (e *env) deleteRaw(key string, opts ...clientv3.OpOption) {
	e.t.Helper()
	if _, err := e.server.Client().Delete(context.Background(), key, opts...); err != nil {
		e.t.Fatal(err)
	}
}

func (e *env) delete(key string, opts ...clientv3.OpOption) {
	e.t.Helper()
	if _, err := e.server.Client().Delete(context.Background(), e.prefix+key, opts...); err != nil {
		e.t.Fatal(err)
	}
}

// path of a container's key under the prefix.
func path(k status.Key) string { return strings.TrimPrefix(status.PathOf("/eru", k), "/eru") }

// state returns the stored state of a container, "" without a key.
func (e *env) state(k status.Key) status.State {
	e.t.Helper()
	value, rev := e.get(path(k))
	if rev == 0 {
		return ""
	}
	s, err := status.Decode([]byte(value))
	if err != nil {
		e.t.Fatal(err)
	}
	return s.State
}

// revision is the store's newest.
func (e *env) revision() int64 {
	e.t.Helper()
	resp, err := e.server.Client().Get(context.Background(), e.prefix, clientv3.WithCountOnly())
	if err != nil {
		e.t.Fatal(err)
	}
	return resp.Header.Revision
}

// step is one change of a container's key, as a watcher saw it.
type step struct {
	rev   int64
	id    string
	state status.State // "" for a deletion
	seq   uint64
}

// history returns all changes of containers' keys after revision since.
func (e *env) history(since int64) []step {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	until := e.revision()
	var steps []step
	if until <= since {
		return nil
	}
	// Somewhere to stop: the watch is over when it has seen this.
	e.put("/end", "")
	for resp := range e.server.Client().Watch(ctx, e.prefix+"/", clientv3.WithPrefix(), clientv3.WithRev(since+1)) {
		if err := resp.Err(); err != nil {
			e.t.Fatal(err)
		}
		for _, ev := range resp.Events {
			key := string(ev.Kv.Key)
			if key == e.prefix+"/end" && ev.Kv.ModRevision > until {
				return steps
			}
			k, err := status.ParseKey(e.prefix, key)
			if err != nil {
				continue
			}
			s := step{rev: ev.Kv.ModRevision, id: k.ID}
			if ev.Type == clientv3.EventTypePut {
				v, err := status.Decode(ev.Kv.Value)
				if err != nil {
					e.t.Fatal(err)
				}
				s.state, s.seq = v.State, v.Seq
			}
			steps = append(steps, s)
		}
	}
	e.t.Fatal("the watch ended")
	return nil
}
