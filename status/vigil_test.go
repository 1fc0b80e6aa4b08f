package status_test

import (
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// TestVigil reads who is elected and what is noted, and passes over what cannot be
// read.
func TestVigil(t *testing.T) {
	etcd := etcdtest.Start(t)
	store := newStore(t, status.Config{Endpoints: []string{etcd.Endpoint()}, Prefix: "/vigil", Timeout: 10 * time.Second})
	v, err := store.Vigil(t.Context())
	if err != nil || v.Monitor != nil || len(v.Silences) != 0 {
		t.Errorf("of nothing it says %+v, %v", v, err)
	}
	etcd.Put("/vigil/selfmon/active", `{"node":"n1","instance":"i"}`)
	etcd.Put("/vigil/selfmon/silent/n2", `{"since":"2026-02-03T04:05:06Z","judged":"2026-02-03T04:05:16Z","host":"silent"}`)
	etcd.Put("/vigil/selfmon/silent/n3", `{"since":"2026-02-03T04:05:06Z"}`)
	etcd.Put("/vigil/selfmon/silent/n4", `not JSON`)
	v, err = store.Vigil(t.Context())
	if err != nil || v.Monitor == nil || v.Monitor.Node != "n1" || len(v.Silences) != 2 {
		t.Fatalf("it says %+v, %v", v, err)
	}
	if v.Silences["n2"].Judged.IsZero() || v.Silences["n2"].Host != status.HostSilent || !v.Silences["n3"].Judged.IsZero() {
		t.Errorf("of silent nodes it says %+v", v.Silences)
	}
}
