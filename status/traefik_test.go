package status_test

import (
	"context"
	"fmt"
	"net/netip"
	"regexp"
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

// traefikRoot is what Traefik's etcd provider reads.
const traefikRoot = "traefik/"

// grammar are the keys that it finds there.
func grammar() *regexp.Regexp {
	return regexp.MustCompile(`^traefik/http/services/([A-Za-z0-9._-]+)/loadBalancer/servers/([A-Za-z0-9._-]{1,12})/(url|weight)$`)
}

// traefikTree is what Traefik knows: service, server, url and weight.
type traefikTree map[string]map[string]*traefikServer

type traefikServer struct{ url, weight string }

// decodeTraefik reads keys as Traefik does, for which one bad value is the end of
// all, and which then serves by what it knew. (e2e/readers/traefik asks its own decoder.)
func decodeTraefik(keys map[string]string) (traefikTree, error) {
	tree := traefikTree{}
	for key, value := range keys {
		m := grammar().FindStringSubmatch(key)
		if m == nil {
			return nil, fmt.Errorf("key %q", key)
		}
		if tree[m[1]] == nil {
			tree[m[1]] = map[string]*traefikServer{}
		}
		s := tree[m[1]][m[2]]
		if s == nil {
			s = &traefikServer{}
			tree[m[1]][m[2]] = s
		}
		if m[3] == "url" {
			s.url = value
		} else {
			s.weight = value
		}
	}
	for service, servers := range tree {
		for id, s := range servers {
			at, err := netip.ParseAddrPort(strings.TrimPrefix(s.url, "http://"))
			if err != nil || s.url != "http://"+at.String() || at.Port() == 0 || at.Addr().IsUnspecified() {
				return nil, fmt.Errorf("url %q of server %s of %s", s.url, id, service)
			}
			if s.weight != "0" && s.weight != "1" {
				return nil, fmt.Errorf("weight %q of server %s of %s", s.weight, id, service)
			}
		}
	}
	return tree, nil
}

// traefik is what stands there now; each test has services of its own.
func (e *env) traefik(service string) map[string]*traefikServer {
	e.t.Helper()
	resp, err := e.server.Client().Get(context.Background(), traefikRoot, clientv3.WithPrefix())
	if err != nil {
		e.t.Fatal(err)
	}
	keys := map[string]string{}
	for _, kv := range resp.Kvs {
		keys[string(kv.Key)] = string(kv.Value)
	}
	tree, err := decodeTraefik(keys)
	if err != nil {
		e.t.Fatal(err)
	}
	return tree[service]
}

// servers says what stands, as "id url weight".
func (e *env) servers(service string) []string {
	e.t.Helper()
	var list []string
	for id, s := range e.traefik(service) {
		list = append(list, id[len(id)-4:]+" "+s.url+" "+s.weight)
	}
	slices.Sort(list)
	return list
}

func wantServers(t *testing.T, e *env, service string, want ...string) {
	t.Helper()
	if got := e.servers(service); !slices.Equal(got, want) {
		t.Errorf("servers of %s: %q, want %q", service, got, want)
	}
}

// id makes a name the test's own: Traefik's tree stands beside all prefixes.
func (e *env) id() string { return strings.TrimPrefix(e.prefix, "/") }

// hexed is a container with an ID as Docker makes them, of a service that the
// test has for itself.
func hexed(app, node string, n int) status.Key {
	return status.Key{App: app, Entrypoint: "web", Node: node, ID: fmt.Sprintf("%08x%04x%052x", 0xabcdef01, n, n)}
}

// at is the status of a container with one endpoint.
func at(k status.Key, state status.State, address string) status.Status {
	s := in(state, k)
	s.Endpoints = map[string]string{"80": address}
	return s
}

func (w *writer) setAt(k status.Key, state status.State, address string) {
	w.Set(k, at(k, state, address), time.Now())
}

// retire ends a container as the agent does.
func (w *writer) retire(k status.Key, address string) {
	w.setAt(k, status.StateStopped, address)
	w.Retire(k)
}

func projecting(t *testing.T, e *env, node string, projections ...status.Projection) *writer {
	id := identity("i-"+node, "m-"+node)
	id.Node = node
	return newWriter(t, e.store(unhurried), id, projections...)
}

func TestTraefik(t *testing.T) {
	onBoth(t, map[string]func(*testing.T, *env){
		"weights follow health":                  weightsFollow,
		"status and server are one revision":     oneRevision,
		"only valid addresses are projected":     onlyValid,
		"endpoints vanish":                       endpointsVanish,
		"the last server stays":                  lastStays,
		"the last of several that go at once":    lastOfSeveral,
		"two nodes remove the last two":          twoNodesRemove,
		"one adds while another removes":         addsWhileRemoving,
		"killed before the sweep":                killedBeforeSweep,
		"servers of others are not swept":        othersStay,
		"foreign changes are written again":      foreignServers,
		"switched on, off and on":                switched,
		"a spoilt server of a container":         spoiltServer,
		"a container changes between namesakes":  namesakes,
		"namesakes are named":                    namesakesNamed,
		"etcd goes back in time":                 traefikBackInTime,
		"transactions keep below etcd's limit":   manyServers,
		"a container that came and went is none": cameAndWent,
	})
}

func weightsFollow(t *testing.T, e *env) {
	app := "weights" + e.id()
	w := projecting(t, e, "n1", status.Traefik)
	w.run(adoptNothing)
	k := hexed(app, "n1", 1)
	for state, weight := range map[status.State]string{
		status.StateStarting: "0", status.StateHealthy: "1", status.StateUnhealthy: "0", status.StateDraining: "0",
		status.StatePaused: "0", status.StateStopped: "0", status.StateInvalid: "0", status.StateLost: "0",
	} {
		w.setAt(k, state, "10.0.0.5:32768")
		w.settle()
		wantServers(t, e, app+"-web", "0001 http://10.0.0.5:32768 "+weight)
	}
}

func oneRevision(t *testing.T, e *env) {
	app := "one" + e.id()
	w := projecting(t, e, "n1", status.Traefik, status.SkyDNS)
	w.run(adoptNothing)
	k := hexed(app, "n1", 1)
	for _, state := range []status.State{status.StateHealthy, status.StateUnhealthy} {
		w.setAt(k, state, "10.0.0.5:80")
		w.settle()
		_, rev := e.get(path(k))
		resp, err := e.server.Client().Get(context.Background(), traefikRoot+"http/services/"+app+"-web/", clientv3.WithPrefix())
		if err != nil || len(resp.Kvs) != 2 || resp.Kvs[0].ModRevision != rev || resp.Kvs[1].ModRevision != rev {
			t.Errorf("the status is of revision %d, its server is %v, %v", rev, resp.Kvs, err)
		}
	}
}

func onlyValid(t *testing.T, e *env) {
	app := "valid" + e.id()
	w := projecting(t, e, "n1", status.Traefik)
	w.run(adoptNothing)
	for i, c := range []struct {
		endpoints map[string]string
		url       string
	}{
		{nil, ""},
		{map[string]string{"80": ""}, ""},
		{map[string]string{"80": "10.0.0.5"}, ""},
		{map[string]string{"80": "10.0.0.5:0"}, ""},
		{map[string]string{"80": "0.0.0.0:80"}, ""},
		{map[string]string{"80": "[::]:80"}, ""},
		{map[string]string{"80": "224.0.0.1:80"}, ""},
		{map[string]string{"80": "host:80"}, ""},
		{map[string]string{"80": "[fe80::1%eth0]:80"}, ""},
		{map[string]string{"80": "10.0.0.5:80/\n"}, ""},
		{map[string]string{"443": "10.0.0.5:443", "80": "10.0.0.5:8080", "9": "10.0.0.5:9"}, "http://10.0.0.5:9"}, // by number
		{map[string]string{"80": "0.0.0.0:80", "443": "10.0.0.5:443"}, "http://10.0.0.5:443"},
		{map[string]string{"80": "[fd00::7]:8080"}, "http://[fd00::7]:8080"},
		{map[string]string{"80": "[::ffff:10.0.0.5]:80"}, "http://10.0.0.5:80"},
	} {
		k := hexed(app, "n1", i)
		s := in(status.StateHealthy, k)
		s.Endpoints = c.endpoints
		w.Set(k, s, time.Now())
		w.settle()
		got := ""
		if s := e.traefik(app + "-web")[k.ID[:12]]; s != nil {
			got = s.url
		}
		if got != c.url {
			t.Errorf("%v is projected as %q, want %q", c.endpoints, got, c.url)
		}
	}
}

func endpointsVanish(t *testing.T, e *env) {
	app := "vanish" + e.id()
	w := projecting(t, e, "n1", status.Traefik)
	stop := w.run(adoptNothing)
	k := hexed(app, "n1", 1)
	w.setAt(k, status.StateHealthy, "10.0.0.5:80")
	w.settle()
	w.Set(k, in(status.StateHealthy, k), time.Now())
	w.settle()
	wantServers(t, e, app+"-web", "0001 http://10.0.0.5:80 0")
	stop()
	// The next agent does not know what the endpoint was.
	again := projecting(t, e, "n1", status.Traefik)
	again.Set(k, in(status.StateUnhealthy, k), time.Now())
	again.run(adoptNothing)
	again.settle()
	wantServers(t, e, app+"-web", "0001 http://10.0.0.5:80 0")
	again.setAt(k, status.StateHealthy, "10.0.0.6:80")
	again.settle()
	wantServers(t, e, app+"-web", "0001 http://10.0.0.6:80 1")
}

func lastStays(t *testing.T, e *env) {
	app := "last" + e.id()
	w := projecting(t, e, "n1", status.Traefik)
	w.run(adoptNothing)
	one, two := hexed(app, "n1", 1), hexed(app, "n1", 2)
	w.setAt(one, status.StateHealthy, "10.0.0.1:80")
	w.settle()
	w.retire(one, "10.0.0.1:80")
	w.settle()
	if got := e.state(one); got != "" {
		t.Errorf("its status is still there: %s", got)
	}
	wantServers(t, e, app+"-web", "0001 http://10.0.0.1:80 0")
	w.setAt(two, status.StateStarting, "10.0.0.2:80")
	w.settle()
	eventually(t, "the one that was left is swept", func() bool { return len(e.servers(app+"-web")) == 1 })
	wantServers(t, e, app+"-web", "0002 http://10.0.0.2:80 0")
	// One that is dropped at once gets no traffic any more either.
	w.setAt(two, status.StateHealthy, "10.0.0.2:80")
	w.settle()
	w.Drop(two)
	w.settle()
	wantServers(t, e, app+"-web", "0002 http://10.0.0.2:80 0")
	// And one that comes back is itself.
	w.setAt(two, status.StateHealthy, "10.0.0.2:80")
	w.settle()
	wantServers(t, e, app+"-web", "0002 http://10.0.0.2:80 1")
}

func lastOfSeveral(t *testing.T, e *env) {
	app := "several" + e.id()
	w := projecting(t, e, "n1", status.Traefik)
	w.run(adoptNothing)
	for n := range 5 {
		w.setAt(hexed(app, "n1", n), status.StateHealthy, "10.0.0.1:80")
	}
	w.settle()
	for n := range 5 {
		w.retire(hexed(app, "n1", n), "10.0.0.1:80")
	}
	w.settle()
	if got := e.servers(app + "-web"); len(got) != 1 || !strings.HasSuffix(got[0], " 0") {
		t.Errorf("left: %q", got)
	}
}

// twoNodesRemove lets each of two nodes remove its only server of a service at
// the same moment, time and again.
func twoNodesRemove(t *testing.T, e *env) {
	app := "two" + e.id()
	nodes := []*writer{projecting(t, e, "n1", status.Traefik), projecting(t, e, "n2", status.Traefik)}
	for _, w := range nodes {
		w.run(adoptNothing)
	}
	for round := range 20 {
		for i, w := range nodes {
			w.setAt(hexed(app, "n"+strconv.Itoa(i+1), 2*round+i), status.StateHealthy, "10.0.0.1:80")
		}
		for _, w := range nodes {
			w.settle()
		}
		before := e.revision()
		for i, w := range nodes {
			w.Drop(hexed(app, "n"+strconv.Itoa(i+1), 2*round+i))
		}
		for _, w := range nodes {
			w.settle()
		}
		if got := e.servers(app + "-web"); len(got) == 0 || !strings.HasSuffix(got[len(got)-1], " 0") {
			t.Fatalf("after round %d, from revision %d on: %q", round, before, got)
		}
	}
}

func addsWhileRemoving(t *testing.T, e *env) {
	app := "adds" + e.id()
	one, two := projecting(t, e, "n1", status.Traefik), projecting(t, e, "n2", status.Traefik)
	one.run(adoptNothing)
	two.run(adoptNothing)
	for round := range 20 {
		old, young := hexed(app, "n1", 2*round), hexed(app, "n2", 2*round+1)
		if round%2 == 1 {
			one, two, old, young = two, one, hexed(app, "n2", 2*round), hexed(app, "n1", 2*round+1)
		}
		one.setAt(old, status.StateHealthy, "10.0.0.1:80")
		one.settle()
		one.Drop(old)
		two.setAt(young, status.StateHealthy, "10.0.0.2:80")
		one.settle()
		two.settle()
		eventually(t, "the young one is there alone", func() bool {
			return slices.Equal(e.servers(app+"-web"), []string{fmt.Sprintf("%04x http://10.0.0.2:80 1", 2*round+1)})
		})
		two.Drop(young)
		two.settle()
	}
}

func killedBeforeSweep(t *testing.T, e *env) {
	app := "killed" + e.id()
	one := projecting(t, e, "n1", status.Traefik)
	stop := one.run(adoptNothing)
	one.setAt(hexed(app, "n1", 1), status.StateHealthy, "10.0.0.1:80")
	one.settle()
	stop()
	// What one leaves that is killed between its transaction and its sweep.
	left := traefikRoot + "http/services/" + app + "-web/loadBalancer/servers/abcdef01ffff/"
	e.putRaw(left+"url", "http://10.0.0.9:80")
	e.putRaw(left+"weight", "0")
	again := projecting(t, e, "n1", status.Traefik)
	again.setAt(hexed(app, "n1", 1), status.StateHealthy, "10.0.0.1:80")
	again.run(adoptNothing)
	eventually(t, "its successor sweeps", func() bool { return len(e.servers(app+"-web")) == 1 })
	wantServers(t, e, app+"-web", "0001 http://10.0.0.1:80 1")
}

// othersStay leaves alone what has traffic, what is of a container of a namesake,
// and what no agent has made.
func othersStay(t *testing.T, e *env) {
	app := "others" + e.id()
	servers := traefikRoot + "http/services/" + app + "-web/loadBalancer/servers/"
	for id, weight := range map[string]string{"by-hand": "0", "abcdef01aaaa": "1", "abcdef01bbbb": "0", "abcdef01cccc": "0"} {
		e.putRaw(servers+id+"/url", "http://10.0.0.9:80")
		e.putRaw(servers+id+"/weight", weight)
	}
	k := hexed(app, "n2", 0xbbbb)
	e.put(path(k), "{}")
	w := projecting(t, e, "n1", status.Traefik)
	w.run(adoptNothing)
	w.setAt(hexed(app, "n1", 1), status.StateHealthy, "10.0.0.1:80")
	w.settle()
	eventually(t, "what is nobody's is swept", func() bool { return e.traefik(app + "-web")["abcdef01cccc"] == nil })
	wantServers(t, e, app+"-web", "0001 http://10.0.0.1:80 1", "aaaa http://10.0.0.9:80 1", "bbbb http://10.0.0.9:80 0", "hand http://10.0.0.9:80 0")
}

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

// spoiltServer brings what Traefik cannot read into the place of a container
// that has no endpoint.
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

// namesakes moves a container between two services that are one to Traefik.
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
