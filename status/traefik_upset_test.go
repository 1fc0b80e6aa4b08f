package status_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/projecteru2/eru-agent/status"
)

func foreignServers(t *testing.T, e *env) {
	app := "foreign" + e.id()
	w := projecting(t, e, "n1", status.Traefik)
	w.SetAuditEvery(10 * time.Millisecond)
	w.run(adoptNothing)
	k := hexed(app, "n1", 1)
	w.setAt(k, status.StateHealthy, "10.0.0.1:80")
	w.settle()
	at := traefikRoot + "http/services/" + app + "-web/loadBalancer/servers/" + k.ID[:12] + "/"
	for i, spoil := range []func(){
		func() { e.putRaw(at+"weight", "0") },
		func() { e.putRaw(at+"url", "http://10.0.0.9:80") },
		func() { e.deleteRaw(at, clientv3.WithPrefix()) },
		func() { e.deleteRaw(at + "url") },
	} {
		spoil()
		eventually(t, "it is written again and counted", func() bool {
			return w.metric("publish_foreign_total") == float64(i+1) && w.Settled()
		})
		wantServers(t, e, app+"-web", "0001 http://10.0.0.1:80 1")
	}
}

func switched(t *testing.T, e *env) {
	app := "switched" + e.id()
	keys := []status.Key{hexed(app, "n1", 1), hexed(app, "n1", 2), hexed(app, "n1", 3)}
	owner := func(want bool) {
		t.Helper()
		if record, _ := e.get("/agent/n1"); strings.Contains(record, `"projections":["traefik"]`) != want {
			t.Errorf("the owner record is %s", record)
		}
	}
	run := func(projections ...status.Projection) (*writer, func()) {
		w := projecting(t, e, "n1", projections...)
		w.SetAuditEvery(10 * time.Millisecond)
		for _, k := range keys {
			w.setAt(k, status.StateHealthy, "10.0.0.1:80")
		}
		stop := w.run(adoptNothing)
		w.settle()
		return w, stop
	}
	_, stop := run()
	stop()
	wantServers(t, e, app+"-web")
	owner(false)

	_, stop = run(status.Traefik)
	owner(true)
	stop()
	wantServers(t, e, app+"-web", "0001 http://10.0.0.1:80 1", "0002 http://10.0.0.1:80 1", "0003 http://10.0.0.1:80 1")

	_, rev := e.get(path(keys[0]))
	_, stop = run(status.Traefik)
	stop()
	if _, again := e.get(path(keys[0])); again != rev {
		t.Error("a restart wrote what stood there")
	}

	w, stop := run()
	eventually(t, "the owner record says that nothing is left", func() bool {
		record, _ := e.get("/agent/n1")
		return !strings.Contains(record, "projections")
	})
	settled := e.revision()
	w.setAt(keys[0], status.StateUnhealthy, "10.0.0.1:80")
	w.settle()
	stop()
	if n := e.revision() - settled; n != 1 || w.metric("publish_foreign_total") != 0 {
		t.Errorf("one change took %d revisions, %v are called foreign", n, w.metric("publish_foreign_total"))
	}
	if got := e.servers(app + "-web"); len(got) != 1 || !strings.HasSuffix(got[0], " 0") {
		t.Errorf("after Traefik was switched off: %q", got)
	}

	_, stop = run(status.Traefik)
	stop()
	if got := e.servers(app + "-web"); len(got) != 3 {
		t.Errorf("after Traefik was switched on again: %q", got)
	}
}

func spoiltServer(t *testing.T, e *env) {
	app := "spoilt" + e.id()
	k := hexed(app, "n1", 1)
	at := traefikRoot + "http/services/" + app + "-web/loadBalancer/servers/" + k.ID[:12] + "/"
	for _, url := range []string{"spoilt", "", "http://", "http://[fd00::7"} {
		e.putRaw(at+"url", url)
		e.putRaw(at+"weight", "many")
		w := projecting(t, e, "n1", status.Traefik)
		w.Set(k, in(status.StateHealthy, k), time.Now())
		stop := w.run(adoptNothing)
		w.settle()
		// The status was not there, so that nothing was known of its server.
		stop()
		again := projecting(t, e, "n1", status.Traefik)
		again.Set(k, in(status.StateHealthy, k), time.Now())
		stop = again.run(adoptNothing)
		again.settle()
		stop()
		wantServers(t, e, app+"-web")
		e.delete(path(k))
	}
}

func namesakes(t *testing.T, e *env) {
	app := "names" + e.id()
	one := status.Key{App: app + "-a", Entrypoint: "b", Node: "n1", ID: hexed("", "", 1).ID}
	two := status.Key{App: app, Entrypoint: "a-b", Node: "n1", ID: one.ID}
	w := projecting(t, e, "n1", status.Traefik)
	w.run(adoptNothing)
	for range 3 {
		w.setAt(one, status.StateHealthy, "10.0.0.1:80")
		w.Drop(two)
		w.settle()
		wantServers(t, e, app+"-a-b", "0001 http://10.0.0.1:80 1")
		w.Drop(one)
		w.setAt(two, status.StateHealthy, "10.0.0.1:80")
		w.settle()
		wantServers(t, e, app+"-a-b", "0001 http://10.0.0.1:80 1")
		if e.state(one) != "" || e.state(two) != status.StateHealthy {
			t.Errorf("states %q and %q", e.state(one), e.state(two))
		}
	}
	w.retire(two, "10.0.0.1:80")
	w.settle()
	wantServers(t, e, app+"-a-b", "0001 http://10.0.0.1:80 0")
	if w.Kept() != 0 {
		w.set(container(1), status.StateHealthy) // forgotten with the next transaction
		w.settle()
		if n := w.Kept(); n != 1 {
			t.Errorf("%d keys are remembered", n)
		}
	}
}

func namesakesNamed(t *testing.T, e *env) {
	app := "named" + e.id()
	id := identity("i1", "m1")
	id.Node = "n1"
	core, logs := observer.New(zapcore.WarnLevel)
	w := loggingWriter(t, e.store(unhurried), id, zap.New(core), status.Traefik)
	w.run(adoptNothing)
	for i, k := range []status.Key{{App: app + "-a", Entrypoint: "b"}, {App: app, Entrypoint: "a-b"}, {App: app, Entrypoint: "a-b"}} {
		k.Node, k.ID = "n1", hexed("", "", i).ID
		w.setAt(k, status.StateUnhealthy, "10.0.0.1:80")
		w.settle()
	}
	eventually(t, "it is said", func() bool { return logs.Len() > 0 })
	if n := len(e.servers(app + "-a-b")); n != 3 || logs.Len() != 1 {
		t.Errorf("%d servers; said: %v", n, logs.All())
	}
	fields := logs.All()[0].ContextMap()
	if fields["service"] != app+"-a-b" || fmt.Sprint(fields["of"]) != fmt.Sprintf("[%s a-b %s-a b]", app, app) {
		t.Errorf("said: %v", fields)
	}
}

func traefikBackInTime(t *testing.T, e *env) {
	app := "past" + e.id()
	w := projecting(t, e, "n1", status.Traefik)
	w.SetAuditEvery(10 * time.Millisecond)
	one, two := hexed(app, "n1", 1), hexed(app, "n1", 2)
	w.run(func(_ context.Context, found []status.Found) error {
		for _, f := range found {
			if f.Key == two {
				w.Retire(two)
			}
		}
		return nil
	})
	w.setAt(one, status.StateHealthy, "10.0.0.1:80")
	w.setAt(two, status.StateHealthy, "10.0.0.2:80")
	w.settle()
	backup := map[string]string{}
	for _, prefix := range []string{e.prefix, traefikRoot + "http/services/" + app} {
		resp, err := e.server.Client().Get(context.Background(), prefix, clientv3.WithPrefix())
		if err != nil {
			t.Fatal(err)
		}
		for _, kv := range resp.Kvs {
			backup[string(kv.Key)] = string(kv.Value)
		}
	}
	w.setAt(one, status.StateUnhealthy, "10.0.0.1:80")
	w.retire(two, "10.0.0.2:80")
	w.settle()
	wantServers(t, e, app+"-web", "0001 http://10.0.0.1:80 0")
	var ops []clientv3.Op
	for key, value := range backup {
		ops = append(ops, clientv3.OpPut(key, value))
	}
	if _, err := e.server.Client().Txn(context.Background()).Then(ops...).Commit(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all is as it was", func() bool {
		return slices.Equal(e.servers(app+"-web"), []string{"0001 http://10.0.0.1:80 0"}) && e.state(two) == ""
	})
}

func manyServers(t *testing.T, e *env) {
	app := "many" + e.id()
	w := projecting(t, e, "n1", status.Traefik)
	w.SetAuditEvery(10 * time.Millisecond)
	for n := range 300 {
		w.setAt(hexed(app+strconv.Itoa(n%3), "n1", n), status.StateHealthy, "10.0.0.1:80")
	}
	w.run(adoptNothing)
	w.settle()
	if tx, keys := w.metric("publish_transactions_total"), w.metric("publish_keys_total"); tx != 8 || keys != 900 {
		t.Errorf("%v transactions of %v keys", tx, keys)
	}
	for n := range 300 {
		w.retire(hexed(app+strconv.Itoa(n%3), "n1", n), "10.0.0.1:80")
	}
	w.settle()
	for n := range 3 {
		if got := e.servers(app + strconv.Itoa(n) + "-web"); len(got) != 1 {
			t.Errorf("left of %d: %q", n, got)
		}
	}
	if n := w.metric("publish_errors_total") + w.metric("publish_foreign_total"); n != 0 {
		t.Errorf("%v errors and foreign changes", n)
	}
}

func cameAndWent(t *testing.T, e *env) {
	app := "went" + e.id()
	w := projecting(t, e, "n1", status.Traefik)
	w.setAt(hexed(app, "n1", 1), status.StateStarting, "10.0.0.1:80")
	w.retire(hexed(app, "n1", 1), "10.0.0.1:80")
	w.run(adoptNothing)
	w.settle()
	wantServers(t, e, app+"-web")
}
