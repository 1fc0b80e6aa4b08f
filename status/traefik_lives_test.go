package status_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// TestTraefikLives lets containers live at random on three nodes whose agents are
// restarted and killed, on one of them also with Traefik switched off and on. At
// each revision that etcd has ever had, Traefik could read all that stood there,
// sent only to what was healthy at that revision, and knew no service that had
// lost its last server.
func TestTraefikLives(t *testing.T) {
	t.Parallel()
	server := etcdtest.Start(t)
	for i := range 6 {
		seed := rand.Uint64()
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			prefix := fmt.Sprintf("/lives%d", i)
			l := &lives{
				env:  &env{t: t, server: server, prefix: prefix, address: server.Address()},
				rand: rand.New(rand.NewPCG(seed, 0)), switches: map[string]bool{},
			}
			l.deleteRaw(traefikRoot, clientv3.WithPrefix())
			l.since = l.revision()
			for n := range 3 {
				node := &liveNode{name: fmt.Sprintf("n%d", n+1), of: map[status.Key]status.Status{}, switches: n == 2}
				l.nodes = append(l.nodes, node)
				l.start(node)
			}
			for range 400 {
				l.step()
			}
			l.calm()
			l.replay()
		})
	}
}

type lives struct {
	*env
	rand  *rand.Rand
	nodes []*liveNode
	born  int
	since int64

	switches map[string]bool // servers of a node that switches
}

type liveNode struct {
	name     string
	of       map[status.Key]status.Status // what its containers are in truth
	w        *writer
	stop     func()
	switches bool // whether its agents differ in projecting
}

// start starts an agent that knows the containers, and finds what an earlier one
// has published of others.
func (l *lives) start(n *liveNode) {
	projections := []status.Projection{status.Traefik}
	if n.switches && l.rand.IntN(2) == 0 {
		projections = nil
	}
	w := projecting(l.t, l.env, n.name, projections...)
	truth := map[status.Key]bool{}
	for k, s := range n.of {
		truth[k] = true
		w.Set(k, s, time.Now())
	}
	n.w = w
	n.stop = w.run(func(_ context.Context, found []status.Found) error {
		for _, f := range found {
			if !truth[f.Key] {
				f.Status.State = status.StateStopped
				w.Set(f.Key, f.Status, time.Now())
				w.Retire(f.Key)
			}
		}
		return nil
	})
}

// step does one thing somewhere, and mostly does not wait for it.
func (l *lives) step() {
	n := l.nodes[l.rand.IntN(len(l.nodes))]
	switch do := l.rand.IntN(40); {
	case do < 8 || len(n.of) == 0:
		l.birth(n)
	case do < 16:
		k := l.one(n)
		l.set(n, k)
	case do < 23:
		k := l.one(n)
		s := n.of[k]
		delete(n.of, k)
		s.State = status.StateStopped
		n.w.Set(k, s, time.Now())
		n.w.Retire(k)
	case do < 26:
		k := l.one(n)
		delete(n.of, k)
		n.w.Drop(k)
	case do < 38:
		n.w.settle()
	default: // killed, with or without containers that go away meanwhile
		n.stop()
		if l.rand.IntN(2) == 0 {
			delete(n.of, l.one(n))
		}
		l.start(n)
	}
}

// one is a container of n, the same one for the same seed.
func (l *lives) one(n *liveNode) status.Key {
	var keys []status.Key
	for k := range n.of {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b status.Key) int { return strings.Compare(a.ID, b.ID) })
	return keys[l.rand.IntN(len(keys))]
}

// birth is of a service of few containers, so that many are the last; two of them
// are one to Traefik.
func (l *lives) birth(n *liveNode) {
	l.born++
	services := []status.Key{{App: "shop", Entrypoint: "web"}, {App: "a-b", Entrypoint: "c"}, {App: "a", Entrypoint: "b-c"}}
	k := services[l.rand.IntN(len(services))]
	k.Node, k.ID = n.name, hexed("", "", l.born).ID
	l.switches[serverOf(k)] = n.switches
	l.set(n, k)
}

func (l *lives) set(n *liveNode, k status.Key) {
	states := []status.State{status.StateStarting, status.StateHealthy, status.StateHealthy, status.StateUnhealthy, status.StateDraining, status.StateStopped}
	addresses := []string{"10.0.0.1:80", "10.0.0.2:32768", "[fd00::7]:443", "0.0.0.0:80", "spoilt", ""}
	s := at(k, states[l.rand.IntN(len(states))], addresses[l.rand.IntN(len(addresses))])
	n.of[k] = s
	n.w.Set(k, s, time.Now())
}

// calm lets everything settle, and looks whether what stands is what lives.
func (l *lives) calm() {
	l.t.Helper()
	for _, n := range l.nodes {
		n.w.settle()
	}
	for _, service := range []string{"shop-web", "a-b-c"} {
		eventually(l.t, "the servers of "+service+" are those that live", func() bool { return l.asLived(service) })
	}
	for _, n := range l.nodes {
		n.stop()
	}
}

// asLived says whether all projected containers have their server, and nobody
// else; but the last one, or what a node left when it projected no more.
func (l *lives) asLived(service string) bool {
	left := l.traefik(service)
	living := 0
	for _, n := range l.nodes {
		for k, s := range n.of {
			if k.App+"-"+k.Entrypoint != service {
				continue
			}
			server := left[serverOf(k)]
			delete(left, serverOf(k))
			switch {
			case n.switches && server == nil:
			case server != nil:
				living++
			case !dialable(s):
			default:
				return false
			}
		}
	}
	for id, s := range left {
		if s.weight != "0" {
			return false
		}
		if l.switches[id] { // nobody knows it any more once its node does not project
			delete(left, id)
		}
	}
	return living == 0 || len(left) == 0
}

// replay goes through etcd's history, one revision after the other.
func (l *lives) replay() {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	l.put("/end", "")
	until := l.revision()
	keys := map[string]string{}
	seen := map[string]bool{}
	revision, revisions := int64(0), 0
	for resp := range l.server.Client().Watch(ctx, "\x00", clientv3.WithFromKey(), clientv3.WithRev(l.since+1)) {
		if err := resp.Err(); err != nil {
			l.t.Fatal(err)
		}
		for _, ev := range resp.Events {
			if ev.Kv.ModRevision != revision {
				l.check(revision, keys, seen)
				revision = ev.Kv.ModRevision
				revisions++
			}
			if ev.Type == clientv3.EventTypeDelete {
				delete(keys, string(ev.Kv.Key))
			} else {
				keys[string(ev.Kv.Key)] = string(ev.Kv.Value)
			}
			if revision == until {
				l.t.Logf("%d revisions, %d containers", revisions, l.born)
				return
			}
		}
	}
	l.t.Fatal("the watch ended")
}

// check holds what stood at one revision against the rules.
func (l *lives) check(revision int64, keys map[string]string, seen map[string]bool) {
	l.t.Helper()
	projected, healthy, shall := map[string]string{}, map[string]string{}, map[string]bool{}
	for key, value := range keys {
		if strings.HasPrefix(key, traefikRoot) {
			projected[key] = value
			continue
		}
		k, err := status.ParseKey(l.prefix, key)
		if err != nil {
			continue
		}
		s, err := status.Decode([]byte(value))
		if err != nil {
			l.t.Fatal(err)
		}
		if s.Healthy && dialable(s) {
			name := k.App + "-" + k.Entrypoint + " " + serverOf(k)
			healthy[name] = "http://" + s.Endpoints["80"]
			shall[name] = k.Node != "n3" // which does not always project
		}
	}
	tree, err := decodeTraefik(projected)
	if err != nil {
		l.t.Fatalf("at revision %d Traefik freezes: %v", revision, err)
	}
	for service := range tree {
		seen[service] = true
	}
	for service := range seen {
		if len(tree[service]) == 0 {
			l.t.Fatalf("at revision %d service %s has lost its last server", revision, service)
		}
	}
	for service, servers := range tree {
		for id, s := range servers {
			name := service + " " + id
			if s.weight == "1" && healthy[name] != s.url {
				l.t.Fatalf("at revision %d Traefik sends to %s at %s, which is healthy at %q", revision, name, s.url, healthy[name])
			}
			if s.weight == "1" {
				delete(shall, name)
			}
		}
	}
	for name, shall := range shall {
		if shall {
			l.t.Fatalf("at revision %d Traefik does not send to %s, which is healthy", revision, name)
		}
	}
}

// serverOf is the name of a container in Traefik's tree.
func serverOf(k status.Key) string { return k.ID[:12] }

// dialable says whether the one address that set gives is one.
func dialable(s status.Status) bool {
	return strings.HasPrefix(s.Endpoints["80"], "10.") || strings.HasPrefix(s.Endpoints["80"], "[fd")
}
