package status_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/projecteru2/eru-agent/status"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden holds the contract with every reader: which keys there are, and
// what stands in them to the byte.
func TestGolden(t *testing.T) {
	onBoth(t, map[string]func(*testing.T, *env){"tree": func(t *testing.T, e *env) {
		id := identity("i1", "m1")
		id.Address, id.Session = "10.0.0.5", true
		w := newWriter(t, e.store(unhurried), id)
		states := []status.State{status.StateStarting, status.StateHealthy, status.StateUnhealthy, status.StateDraining,
			status.StatePaused, status.StateStopped, status.StateInvalid, status.StateLost}
		for i, state := range states {
			w.Set(container(i), in(state, container(i)), moment)
		}
		k := status.Key{App: "a_b.c-d", Entrypoint: "api", Node: "node1", ID: "full"}
		w.Set(k, status.Status{
			ID: k.ID, Name: "a_b.c-d_api_Xy12", State: status.StateUnhealthy, Reason: "http_code", Detail: `HTTP 500 from <"x">` + "\xff",
			Networks:  map[string]string{"bridge": "172.17.0.7", "a": "fd00::7"},
			Extension: base64.StdEncoding.EncodeToString([]byte(`{"ERU":"1"}`)),
			Check:     []byte(`{"interval":"5s","timeout":"2s","probes":[{"kind":"http","settings":{"path":"/<\u00e9>","port":"80"},"at":{"80":"10.0.0.5:32768"}}]}`),
			Endpoints: map[string]string{"80": "10.0.0.5:32768", "443": "[fd00::7]:443"},
			Since:     moment.In(time.FixedZone("", 2*3600)), Started: moment.Add(-time.Hour),
		}, moment)
		lease, err := e.server.Client().Grant(context.Background(), 600)
		if err != nil {
			t.Fatal(err)
		}
		w.SetNode(status.Node{Nodename: "node1", Podname: "pod1", Alive: true,
			Agent: status.NodeAgent{Instance: "i1", Version: "v1", Started: moment, Machine: "m1", State: status.NodeRunning}}, int64(lease.ID))
		w.run(adoptNothing)
		w.settle()

		golden(t, "tree.golden", e.dump())
	}})
}

// TestGoldenProjections holds what stands there for others.
func TestGoldenProjections(t *testing.T) {
	onBoth(t, map[string]func(*testing.T, *env){"projected": func(t *testing.T, e *env) {
		w := projecting(t, e, "n1", status.Traefik, status.SkyDNS)
		for i, state := range []status.State{status.StateHealthy, status.StateUnhealthy, status.StateStopped} {
			w.Set(hexed("shop", "n1", i), at(hexed("shop", "n1", i), state, "10.0.0.5:32768"), moment)
		}
		w.Set(hexed("six", "n1", 4), at(hexed("six", "n1", 4), status.StateHealthy, "[fd00::7]:443"), moment)
		w.Set(hexed("none", "n1", 5), in(status.StateHealthy, hexed("none", "n1", 5)), moment)
		w.run(adoptNothing)
		w.settle()
		golden(t, "projections.golden", e.dump(traefikRoot))
	}})
}

// dump is all that stands under the prefix, and what begins with one of others.
func (e *env) dump(others ...string) []byte {
	e.t.Helper()
	var got bytes.Buffer
	for _, prefix := range append([]string{e.prefix + "/"}, others...) {
		resp, err := e.server.Client().Get(context.Background(), prefix, clientv3.WithPrefix())
		if err != nil {
			e.t.Fatal(err)
		}
		for _, kv := range resp.Kvs {
			fmt.Fprintf(&got, "%s lease=%v\n%s\n\n", bytes.TrimPrefix(kv.Key, []byte(e.prefix)), kv.Lease != 0, kv.Value)
		}
	}
	return got.Bytes()
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
	}
}
