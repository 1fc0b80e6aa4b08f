package status_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

func TestView(t *testing.T) {
	onBoth(t, map[string]func(*testing.T, *env){
		"what stands there and what changes":        viewsAll,
		"compaction while cut off":                  viewsCompacted,
		"etcd is away":                              viewsWithoutEtcd,
		"a start while etcd is away":                startsFromCopy,
		"a panic outlives the reader":               panicsAcrossRestart,
		"what cannot be read leaves the rest alone": viewsUnreadable,
		"a service that does not exist":             viewsNothing,
		"a hold":                                    holdsBack,
		"what has not changed is the same":          keepsPointers,
	})
}

// view is a View that runs until the test ends, or until stop is called.
type view struct {
	*status.View
	t    *testing.T
	stop func()
}

func runView(t *testing.T, s *status.Store, cfg status.ViewConfig) *view {
	t.Helper()
	v := status.NewView(s, cfg, zaptest.NewLogger(t, zaptest.Level(zap.ErrorLevel)))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := v.Run(ctx); err != nil {
			t.Errorf("Run returned %v", err)
		}
	}()
	stop := func() { cancel(); <-done }
	t.Cleanup(stop)
	return &view{v, t, stop}
}

// until waits for a change after which ok.
func (v *view) until(what string, ok func() bool) {
	v.t.Helper()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-v.Changed():
		case <-deadline:
			v.t.Fatalf("waited in vain: %s; %+v, %s", what, v.State(), v.sets())
		}
	}
}

// is waits until the sets are so.
func (v *view) is(sets string) {
	v.t.Helper()
	v.until(sets, func() bool { return v.sets() == sets })
}

// sets are what is done with the containers of each service.
func (v *view) sets() string {
	var services []string
	for _, s := range v.Services() {
		name := s.App + "/" + s.Entrypoint + ":"
		if s.Panic {
			name = "panic " + name
		}
		for _, srv := range s.Servers {
			name += " " + srv.Key.ID + map[status.Use]string{status.UseNone: "-", status.UseDrain: "~", status.UseReady: ""}[srv.Use]
		}
		services = append(services, name)
	}
	return strings.Join(services, "; ")
}

func viewsAll(t *testing.T, e *env) {
	e.putStatus(1, status.StateHealthy)
	e.putStatus(2, status.StateHealthy)
	e.put("/status:node/node1", nodeValue)
	v := runView(t, e.store(unhurried), status.ViewConfig{})
	v.is("shop/web: c0001 c0002")
	e.putStatus(1, status.StateDraining)
	v.is("shop/web: c0001~ c0002")
	s := v.Service("shop", "web")
	if _, rev := e.get(path(container(1))); s.Revision != rev || s.Servers[0].Revision != rev || s.Servers[0].Status.State != status.StateDraining || s.Servers[0].Silent {
		t.Errorf("at revision %d: %+v", rev, s)
	}
	e.delete("/status:node/node1")
	v.until("the node is silent", func() bool {
		return v.Service("shop", "web").Servers[0].Silent && v.Service("shop", "web").Servers[1].Silent
	})
	e.delete(path(container(2)))
	v.is("shop/web: c0001~")
	if s := v.Service("shop", "web"); s.Revision != e.revision() {
		t.Errorf("the set is of revision %d, and the deletion of %d", s.Revision, e.revision())
	}
	e.delete(path(container(1)))
	v.is("")
	if s := v.Service("shop", "web"); s != nil {
		t.Errorf("left: %+v", s)
	}
	if st := v.State(); !st.Synced || st.Lost != nil || st.FromCopy || st.Revision != e.revision() || len(st.Unreadable) != 0 {
		t.Errorf("at revision %d: %+v", e.revision(), st)
	}
}

// compact loses the history of what changes while a proxy is cut.
func (e *env) compact(proxy *etcdtest.Proxy, change func()) {
	e.t.Helper()
	proxy.Cut()
	change()
	e.put("/other", "")
	e.put("/other", "")
	if _, err := e.server.Client().Compact(context.Background(), e.revision()); err != nil {
		e.t.Fatal(err)
	}
	proxy.Resume()
}

func viewsCompacted(t *testing.T, e *env) {
	proxy := e.proxy()
	for n := range 4 {
		e.putStatus(n, status.StateHealthy)
	}
	v := runView(t, e.store(unhurried), status.ViewConfig{Scope: status.Scope{App: "shop", Entrypoint: "web"}})
	v.is("shop/web: c0000 c0001 c0002 c0003")
	e.compact(proxy, func() {
		e.delete(path(container(1)))
		e.putStatus(2, status.StateUnhealthy)
		e.putStatus(9, status.StateStarting)
	})
	v.is("shop/web: c0000 c0002- c0003 c0009-")
	e.putStatus(9, status.StateHealthy)
	v.is("shop/web: c0000 c0002- c0003 c0009")
}

func viewsWithoutEtcd(t *testing.T, e *env) {
	proxy := e.proxy()
	e.putStatus(1, status.StateHealthy)
	e.putStatus(2, status.StateUnhealthy)
	store := e.store(hasty)
	store.SetLookEvery(20 * time.Millisecond)
	v := runView(t, store, status.ViewConfig{})
	v.is("shop/web: c0001 c0002-")
	proxy.Cut()
	v.until("it is said", func() bool { return v.State().Lost != nil && !v.State().Synced })
	if v.sets() != "shop/web: c0001 c0002-" {
		t.Errorf("without etcd: %s", v.sets())
	}
	e.putStatus(2, status.StateHealthy)
	proxy.Resume()
	v.is("shop/web: c0001 c0002")
	v.until("it is followed again", func() bool { return v.State().Synced && v.State().Lost == nil })
}

func viewsUnreadable(t *testing.T, e *env) {
	for n := range 3 {
		e.putStatus(n, status.StateHealthy)
	}
	v := runView(t, e.store(unhurried), status.ViewConfig{})
	v.is("shop/web: c0000 c0001 c0002")
	e.put(path(container(0)), strings.Repeat("x", 1<<20))
	e.put(path(container(1)), "spoilt")
	e.put("/status/shop/web/"+strings.Repeat("/", 1000), "")
	e.put("/status:node/a/b", "")
	e.putStatus(2, status.StateDraining)
	v.is("shop/web: c0000 c0001 c0002~")
	// Those of nodes come by a watch of their own, and what only counts is no change that Changed tells.
	eventually(t, "each to be counted", func() bool {
		return fmt.Sprint(v.State().Unreadable) == "map[json:1 key:2 size:1]"
	})
}

func viewsNothing(t *testing.T, e *env) {
	e.putStatus(1, status.StateHealthy)
	v := runView(t, e.store(unhurried), status.ViewConfig{Scope: status.Scope{App: "shop", Entrypoint: "admin"}})
	v.until("synced", func() bool { return v.State().Synced })
	if v.sets() != "" || v.Service("shop", "web") != nil || v.Service("shop", "admin") != nil {
		t.Errorf("sets: %s", v.sets())
	}
	k := status.Key{App: "shop", Entrypoint: "admin", Node: "node1", ID: "x"}
	e.put(path(k), string(in(status.StateHealthy, k).Encode(1)))
	v.is("shop/admin: x")
}

func holdsBack(t *testing.T, e *env) {
	e.putStatus(1, status.StateHealthy)
	e.putStatus(2, status.StateHealthy)
	v := runView(t, e.store(unhurried), status.ViewConfig{Hold: 300 * time.Millisecond})
	v.is("shop/web: c0001 c0002")
	e.putStatus(2, status.StateUnhealthy)
	v.is("shop/web: c0001 c0002-")
	e.putStatus(2, status.StateHealthy)
	v.until("it is healthy and out", func() bool {
		return v.Service("shop", "web").Servers[1].Status.Healthy || v.sets() == "shop/web: c0001 c0002"
	})
	v.is("shop/web: c0001 c0002") // by the clock alone: nothing more is written
}

func keepsPointers(t *testing.T, e *env) {
	other := status.Key{App: "shop", Entrypoint: "api", Node: "node1", ID: "x"}
	e.put(path(other), string(in(status.StateHealthy, other).Encode(1)))
	e.putStatus(1, status.StateHealthy)
	v := runView(t, e.store(unhurried), status.ViewConfig{})
	v.is("shop/api: x; shop/web: c0001")
	api, web := v.Service("shop", "api"), v.Service("shop", "web")
	e.putStatus(1, status.StateDraining)
	v.is("shop/api: x; shop/web: c0001~")
	if v.Service("shop", "api") != api || v.Services()[0] != api || v.Service("shop", "web") == web || web.Servers[0].Use != status.UseReady {
		t.Error("what has changed is the same, or what has not is another")
	}
}

// TestScopedView is of a user who may read one service and the nodes, and no
// more: what is of no concern to a View is not even asked for.
func TestScopedView(t *testing.T) {
	t.Parallel()
	role := etcdtest.Role{User: "proxy", Password: "secret", Prefix: "/eru/status/shop/web/"}
	for name, start := range map[string]func(testing.TB, ...etcdtest.Option) *etcdtest.Server{"embedded": etcdtest.Start, "process": etcdtest.StartProcess} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, etcdtest.WithAuth(role))
			e := &env{t: t, server: s, prefix: "/eru", address: s.Address()}
			nodes := "/eru/status:node/"
			if _, err := s.Client().RoleGrantPermission(t.Context(), role.User, nodes, clientv3.GetPrefixRangeEnd(nodes), clientv3.PermissionType(clientv3.PermRead)); err != nil {
				t.Fatal(err)
			}
			e.putStatus(1, status.StateHealthy)
			e.put("/status/shop/webber/node1/x", "bad")
			store := func() *status.Store {
				s := newStore(t, status.Config{Endpoints: []string{s.Endpoint()}, Prefix: "/eru", Username: role.User, PasswordFile: secret(t, role.Password), Timeout: unhurried})
				s.SetLookEvery(10 * time.Millisecond)
				return s
			}
			v := runView(t, store(), status.ViewConfig{Scope: status.Scope{App: "shop", Entrypoint: "web"}})
			v.is("shop/web: c0001")
			e.putStatus(2, status.StateHealthy)
			v.is("shop/web: c0001 c0002")
			e.put("/status:node/node1", nodeValue)
			v.until("the node is there", func() bool { return !v.Service("shop", "web").Servers[0].Silent })
			if st := v.State(); !st.Synced || len(st.Unreadable) != 0 {
				t.Errorf("%+v", st)
			}
			all := runView(t, store(), status.ViewConfig{})
			all.until("it is refused", func() bool { return all.State().Lost != nil })
			if err := all.State().Lost; !strings.Contains(err.Error(), "permission denied") {
				t.Errorf("a view of everything: %v", err)
			}
		})
	}
}

// TestWipedView loses all of a server's data, and brings some of it back.
func TestWipedView(t *testing.T) {
	t.Parallel()
	s := etcdtest.Start(t)
	e := &env{t: t, server: s, prefix: "/eru", address: s.Address()}
	for range 20 { // the new store shall be younger for a while
		e.put("/other", "")
	}
	e.putStatus(1, status.StateHealthy)
	e.putStatus(2, status.StateHealthy)
	store := e.store(hasty)
	store.SetLookEvery(20 * time.Millisecond)
	v := runView(t, store, status.ViewConfig{})
	v.is("shop/web: c0001 c0002")
	before := v.State().Revision
	s.Wipe()
	s.Restart()
	v.until("it has read the new store", func() bool { return v.State().Synced && v.State().Revision < before })
	if v.sets() != "shop/web: c0001 c0002" {
		t.Errorf("after all was lost: %s", v.sets())
	}
	e.putStatus(2, status.StateDraining)
	v.is("shop/web: c0001 c0002~")
}
