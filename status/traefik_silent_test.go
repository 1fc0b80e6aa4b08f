package status_test

import (
	"slices"
	"testing"

	"github.com/projecteru2/eru-agent/status"
)

// What an agent projected does not stay behind when a monitor speaks for it, or
// when its node is forgotten.
func TestTraefikOfASilentNode(t *testing.T) {
	onBoth(t, map[string]func(*testing.T, *env){
		"a monitor's word is a weight, too": monitorWeighs,
		"a forgotten node leaves no server": forgottenServers,
	})
}

// silentNode runs an agent until its containers stand in etcd, and returns who
// looks after it then.
func silentNode(t *testing.T, e *env, healthy ...status.Key) (*status.Store, *status.Term, status.Remains) {
	t.Helper()
	w := projecting(t, e, "n1", status.Traefik, status.SkyDNS)
	stop := w.run(adoptNothing)
	for _, k := range healthy {
		w.setAt(k, status.StateHealthy, "10.0.0.1:80")
	}
	w.settle()
	stop()
	s := e.store(unhurried)
	term := e.stand(s, "m", e.grant()).elected(t)
	r, err := term.Examine(t.Context(), "n1")
	if err == nil {
		r, err = term.Read(t.Context(), r, healthy)
	}
	if err != nil || len(r.Statuses) != len(healthy) {
		t.Fatalf("read %d statuses: %v", len(r.Statuses), err)
	}
	return s, term, r
}

func monitorWeighs(t *testing.T, e *env) {
	app := "weighs" + e.id()
	one, two := hexed(app, "n1", 1), hexed(app, "n1", 2)
	_, term, r := silentNode(t, e, one, two)
	say := func(k status.Key, state status.State) {
		t.Helper()
		i := slices.IndexFunc(r.Statuses, func(entry status.Entry) bool { return entry.Key == k })
		r.Statuses[i].Status.State = state
		if err := term.Rewrite(t.Context(), r, r.Statuses[i:i+1]); err != nil {
			t.Fatal(err)
		}
	}
	say(one, status.StateLost)
	wantServers(t, e, app+"-web", "0001 http://10.0.0.1:80 0", "0002 http://10.0.0.1:80 1")
	wantHost(t, e, one, "")
	say(one, status.StateHealthy)
	wantServers(t, e, app+"-web", "0001 http://10.0.0.1:80 1", "0002 http://10.0.0.1:80 1")
	wantHost(t, e, one, "10.0.0.1")
}

// wantHost holds what CoreDNS answers for a container.
func wantHost(t *testing.T, e *env, k status.Key, want string) {
	t.Helper()
	value, _ := e.get(path(k))
	if s, err := status.Decode([]byte(value)); err != nil || s.DNS.Host != want {
		t.Errorf("CoreDNS has %q for it, want %q: %s, %v", s.DNS.Host, want, value, err)
	}
}

func forgottenServers(t *testing.T, e *env) {
	app, last := "forgotten"+e.id(), "forgottenlast"+e.id()
	stays := projecting(t, e, "n2", status.Traefik)
	stays.run(adoptNothing)
	stays.setAt(hexed(app, "n2", 9), status.StateHealthy, "10.0.0.9:80")
	stays.settle()
	s, _, _ := silentNode(t, e, hexed(app, "n1", 1), hexed(app, "n1", 2), hexed(last, "n1", 3), hexed(last, "n1", 4))
	if n, err := s.Forget(t.Context(), "n1"); err != nil || n != 4 {
		t.Fatalf("forgot %d containers: %v", n, err)
	}
	wantServers(t, e, app+"-web", "0009 http://10.0.0.9:80 1")
	// Of a service that is gone with the node, one stays without traffic: else Traefik would answer 404.
	if got := e.servers(last + "-web"); len(got) != 1 || got[0][len(got[0])-2:] != " 0" {
		t.Errorf("left: %q", got)
	}
}
