package status_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/projecteru2/eru-agent/status"
)

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
