package status_test

import (
	"context"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

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

// twoNodesRemove lets each of two nodes remove its only server of a service at
// the same moment, time and again.
// othersStay leaves alone what has traffic, what is of a container of a namesake,
// and what no agent has made.
// spoiltServer brings what Traefik cannot read into the place of a container
// that has no endpoint.
// namesakes moves a container between two services that are one to Traefik.
