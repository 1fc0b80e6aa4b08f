package status_test

import (
	"strings"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/status"
)

func TestAudit(t *testing.T) {
	onBoth(t, map[string]func(*testing.T, *env){
		"foreign changes are written again":   foreignChanges,
		"many keys are compared":              manyKeys,
		"an expired session is not foreign":   expiredSession,
		"a key of none of ours is left alone": leavesOthersAlone,
	})
}

func audited(t *testing.T, e *env, n int) *writer {
	t.Helper()
	w := newWriter(t, e.store(unhurried), identity("i1", "m1"))
	w.SetAuditEvery(10 * time.Millisecond)
	w.run(adoptNothing)
	for i := range n {
		w.set(container(i), status.StateUnhealthy)
	}
	w.settle()
	return w
}

func foreignChanges(t *testing.T, e *env) {
	w := audited(t, e, 1)
	key := path(container(0))
	good, _ := e.get(key)
	for i, foreign := range []string{
		"spoilt", "", "null", "{}",
		`{"id":"c0000","running":true,"healthy":true}`,                     // as Eru core writes it
		strings.Replace(good, `"healthy":false`, `"healthy":true`, 1),      // the state untouched
		strings.Replace(good, `"unhealthy"`, `"healthy"`, 1),               //
		strings.Replace(good, `"id":"c0000",`, `"id":"c0000","a":"b",`, 1), // what no reader knows
	} {
		e.put(key, foreign)
		eventually(t, "the value is written again over "+foreign, func() bool {
			got, _ := e.get(key)
			return strings.Contains(got, `"healthy":false`) && strings.Contains(got, `"unhealthy"`) && !strings.Contains(got, `"a":"b"`)
		})
		eventually(t, "it is counted", func() bool { return w.metric("publish_foreign_total") == float64(i+1) })
	}
	e.delete(key)
	eventually(t, "a deleted key is written again", func() bool { return e.state(container(0)) == status.StateUnhealthy })
	before := w.metric("publish_foreign_total")
	w.settle()
	if w.metric("publish_foreign_total") != before {
		t.Error("its own repair was counted")
	}
}

func manyKeys(t *testing.T, e *env) {
	w := audited(t, e, 300)
	for n := 0; n < 300; n += 7 {
		e.delete(path(container(n)))
	}
	eventually(t, "all are back", func() bool {
		for n := range 300 {
			if n%7 == 0 && e.state(container(n)) == "" {
				return false
			}
		}
		return true
	})
	if got := w.metric("publish_foreign_total"); got != 43 {
		t.Errorf("counted %v foreign changes, want 43", got)
	}
}

func expiredSession(t *testing.T, e *env) {
	w := audited(t, e, 1)
	lease := live(t, e, w, "m1")
	e.revoke(lease)
	eventually(t, "the node's key goes", func() bool { _, rev := e.get("/status:node/node1"); return rev == 0 })
	// An audit that finds the deletion below has found the other one too.
	e.delete(path(container(0)))
	eventually(t, "the status is back", func() bool { return e.state(container(0)) != "" })
	live(t, e, w, "m1")
	if _, rev := e.get("/status:node/node1"); rev == 0 {
		t.Error("the node's key did not come back with a new session")
	}
	if got := w.metric("publish_foreign_total"); got != 1 {
		t.Errorf("counted %v foreign changes, want 1", got)
	}
}

func leavesOthersAlone(t *testing.T, e *env) {
	other := container(0)
	other.Node = "node2"
	e.put(path(other), "spoilt")
	e.put("/status/shop/web/node1/c/d", "spoilt")
	w := audited(t, e, 1)
	w.Retire(other)
	w.settle()
	for _, key := range []string{path(other), "/status/shop/web/node1/c/d"} {
		if got, _ := e.get(key); got != "spoilt" {
			t.Errorf("%s is %q", key, got)
		}
	}
}
