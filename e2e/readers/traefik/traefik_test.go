// Package traefik reads what the agent has written for Traefik with Traefik's own
// decoder.
package traefik

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/kvtools/valkeyrie/store"
	"github.com/traefik/traefik/v3/pkg/config/kv"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

const (
	// patience bounds what a test waits for; nothing is measured with it.
	patience = 20 * time.Second
	root     = "traefik"
)

// configuration is the part of Traefik's that the agent writes, by the names that
// it has there.
type configuration struct {
	HTTP struct{ Services map[string]*service }
}

type service struct {
	LoadBalancer *struct{ Servers []server }
}

type server struct {
	URL    string
	Weight *int
}

// decode reads pairs as Traefik does, and returns each service's servers as "url
// weight". An error is what freezes Traefik.
func decode(pairs map[string]string) (map[string][]string, error) {
	var list []*store.KVPair
	for key, value := range pairs {
		list = append(list, &store.KVPair{Key: key, Value: []byte(value)})
	}
	services := map[string][]string{}
	var c configuration
	if len(list) == 0 {
		return services, nil
	}
	if err := kv.Decode(list, &c, root); err != nil {
		return nil, err
	}
	for name, s := range c.HTTP.Services {
		for _, one := range s.LoadBalancer.Servers {
			at, err := url.Parse(one.URL)
			if err != nil {
				return nil, err
			}
			if _, err := netip.ParseAddrPort(at.Host); err != nil || at.Scheme != "http" || one.Weight == nil {
				return nil, fmt.Errorf("%s has the server %q of weight %v", name, one.URL, one.Weight)
			}
			services[name] = append(services[name], fmt.Sprint(one.URL, " ", *one.Weight))
		}
		slices.Sort(services[name])
	}
	return services, nil
}

func TestDecoderRefuses(t *testing.T) {
	at := root + "/http/services/shop-web/loadBalancer/servers/abcdef012345/"
	for what, pairs := range map[string]map[string]string{
		"a weight that is no number":    {at + "url": "http://10.0.0.1:80", at + "weight": "many"},
		"an empty weight":               {at + "url": "http://10.0.0.1:80", at + "weight": ""},
		"a server without an address":   {at + "weight": "1"},
		"a server without a weight":     {at + "url": "http://10.0.0.1:80"},
		"an address without its scheme": {at + "url": "10.0.0.1:80", at + "weight": "1"},
	} {
		if got, err := decode(pairs); err == nil {
			t.Errorf("%s is read as %v", what, got)
		}
	}
}

// world is an etcd with writers of several nodes.
type world struct {
	t     *testing.T
	etcd  *etcdtest.Server
	nodes map[string]*status.Writer
}

func newWorld(t *testing.T, nodes ...string) *world {
	w := &world{t, etcdtest.Start(t), map[string]*status.Writer{}}
	for _, name := range nodes {
		st := status.NewStore(status.Config{Endpoints: []string{w.etcd.Endpoint()}, Prefix: "/eru", Timeout: patience}, zap.NewNop())
		writer := status.NewWriter(st, status.Identity{Node: name, Instance: name}, zap.NewNop(),
			new(status.WriterMetrics), status.Traefik)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- writer.Run(ctx, func(context.Context, []status.Found) error { return nil }) }()
		t.Cleanup(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			_ = st.Close()
		})
		w.nodes[name] = writer
	}
	return w
}

// key is of a container whose ID begins with id.
func key(app, node, id string) status.Key {
	return status.Key{App: app, Entrypoint: "web", Node: node, ID: fmt.Sprintf("%s%052x", id, 0)}
}

func (w *world) set(k status.Key, state status.State, endpoint string) {
	w.t.Helper()
	s := status.Status{ID: k.ID, State: state, Since: time.Now(), Started: time.Now(), Endpoints: map[string]string{"80": endpoint}}
	w.nodes[k.Node].Set(k, s, time.Now())
	w.settle(k.Node)
}

// remove ends a container whose last status was set.
func (w *world) remove(k status.Key) {
	w.t.Helper()
	w.nodes[k.Node].Retire(k)
	w.settle(k.Node)
}

func (w *world) settle(node string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := w.nodes[node].Wait(ctx); err != nil {
		w.t.Fatal(err)
	}
}

// want waits until Traefik knows these servers: what was left is swept behind
// what is waited for.
func (w *world) want(what, service string, want ...string) {
	w.t.Helper()
	var got []string
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for late := time.After(patience); ; {
		resp, err := w.etcd.Client().Get(context.Background(), root+"/", clientv3.WithPrefix())
		if err != nil {
			w.t.Fatal(err)
		}
		pairs := map[string]string{}
		for _, kv := range resp.Kvs {
			pairs[string(kv.Key)] = string(kv.Value)
		}
		services, err := decode(pairs)
		if err != nil {
			w.t.Fatalf("%s: Traefik freezes: %v", what, err)
		}
		if got = services[service]; slices.Equal(got, want) {
			return
		}
		select {
		case <-poll.C:
		case <-late:
			w.t.Fatalf("%s: %s has %q, want %q", what, service, got, want)
		}
	}
}

// history gives each state in which Traefik's tree has ever been to see.
func (w *world) history(see func(revision int64, pairs map[string]string)) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	end, err := w.etcd.Client().Put(ctx, root+"-end", "")
	if err != nil {
		w.t.Fatal(err)
	}
	pairs := map[string]string{}
	for resp := range w.etcd.Client().Watch(ctx, root, clientv3.WithPrefix(), clientv3.WithRev(1)) {
		if err := resp.Err(); err != nil {
			w.t.Fatal(err)
		}
		for i, ev := range resp.Events {
			if ev.Kv.ModRevision == end.Header.Revision {
				return
			}
			if ev.Type == clientv3.EventTypeDelete {
				delete(pairs, string(ev.Kv.Key))
			} else {
				pairs[string(ev.Kv.Key)] = string(ev.Kv.Value)
			}
			if i+1 == len(resp.Events) || resp.Events[i+1].Kv.ModRevision != ev.Kv.ModRevision {
				see(ev.Kv.ModRevision, maps.Clone(pairs))
			}
		}
	}
	w.t.Fatal("the watch ended")
}

// TestServers is what becomes of a service on two nodes, as Traefik sees it; at no
// revision may it be without a server, or not to be read.
func TestServers(t *testing.T) {
	w := newWorld(t, "n1", "n2")
	one, digits, six := key("shop", "n1", "abcdef012345"), key("shop", "n1", "123456789012"), key("shop", "n2", "abcdef0fffff")
	w.set(one, status.StateStarting, "10.0.0.1:80")
	w.want("starting", "shop-web", "http://10.0.0.1:80 0")
	w.set(one, status.StateHealthy, "10.0.0.1:80")
	w.set(digits, status.StateHealthy, "10.0.0.2:32768") // a name of digits alone is an index to Traefik
	w.set(six, status.StateHealthy, "[fd00::7]:443")
	w.want("all are healthy", "shop-web", "http://10.0.0.1:80 1", "http://10.0.0.2:32768 1", "http://[fd00::7]:443 1")
	w.set(one, status.StateUnhealthy, "10.0.0.1:80")
	w.want("one is unhealthy", "shop-web", "http://10.0.0.1:80 0", "http://10.0.0.2:32768 1", "http://[fd00::7]:443 1")
	w.set(one, status.StateHealthy, "spoilt")
	w.want("nobody knows where it is", "shop-web", "http://10.0.0.1:80 0", "http://10.0.0.2:32768 1", "http://[fd00::7]:443 1")
	w.remove(one)
	w.remove(digits)
	w.want("two are gone", "shop-web", "http://[fd00::7]:443 1")
	w.remove(six)
	w.want("all are gone", "shop-web", "http://[fd00::7]:443 0")
	w.set(one, status.StateHealthy, "10.0.0.1:80")
	w.want("one is back", "shop-web", "http://10.0.0.1:80 1")

	had := map[string]bool{}
	revisions := 0
	w.history(func(revision int64, pairs map[string]string) {
		revisions++
		services, err := decode(pairs)
		if err != nil {
			t.Errorf("at revision %d Traefik freezes: %v", revision, err)
		}
		for name := range services {
			had[name] = true
		}
		for name := range had {
			if len(services[name]) == 0 {
				t.Errorf("at revision %d %s has lost its last server", revision, name)
			}
		}
	})
	if revisions < 10 {
		t.Errorf("only %d revisions were looked at", revisions)
	}
}

// TestCase holds what docs/adr/0012 says of names: to Traefik upper and lower case
// are one.
func TestCase(t *testing.T) {
	w := newWorld(t, "n1")
	w.set(key("Shop", "n1", "abcdef012345"), status.StateHealthy, "10.0.0.1:80")
	w.set(key("shop", "n1", "abcdef0fffff"), status.StateHealthy, "10.0.0.2:80")
	w.want("two apps", "Shop-web", "http://10.0.0.1:80 1", "http://10.0.0.2:80 1")
}
