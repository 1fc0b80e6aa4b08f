package cmd

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/projecteru2/eru-agent/status"
)

// waiting is a drainWait for a container, or a whole node, of a small tree.
func waiting(id string) *drainWait {
	w := &drainWait{target: target{key: status.DrainKey{Node: "n1", ID: id}}, tree: status.NewTree()}
	w.apply(status.Change{NodeUp: &status.Node{Nodename: "n1"}})
	w.apply(status.Change{Synced: true})
	w.hear(nil)
	return w
}

func (w *drainWait) hear(live map[string]status.Reader) {
	w.readers, w.known = status.Readers{Live: live}, true
}

func (w *drainWait) put(id string, state status.State, revision int64) {
	k := status.Key{App: "shop", Entrypoint: "web", Node: "n1", ID: id}
	w.apply(status.Change{Put: &status.Entry{Key: k, Revision: revision, Status: status.Status{ID: id, State: state, Running: state.Running()}}})
}

func reader(follows string, drained map[string]int64) status.Reader {
	return status.Reader{Kind: "haproxy", Follows: []string{follows}, Drained: drained}
}

func (w *drainWait) want(t *testing.T, when string, names ...string) {
	t.Helper()
	if got := w.pending(); !slices.Equal(got, names) {
		t.Errorf("%s: waits for %q, want %q", when, got, names)
	}
}

func TestForWhomADrainWaits(t *testing.T) {
	w := waiting("c1")
	w.put("c2", status.StateHealthy, 9) // nobody asked for that one
	for _, state := range []status.State{status.StateHealthy, status.StateStarting, status.StateUnhealthy, status.StatePaused, status.StateInvalid} {
		w.put("c1", state, 10)
		w.want(t, string(state), "the agent of node n1")
	}
	w.apply(status.Change{NodeGone: "n1"})
	w.want(t, "silent", "the agent of node n1, which is silent")
	for _, state := range []status.State{status.StateStopped, status.StateLost} {
		w.put("c1", state, 11)
		w.want(t, string(state))
	}
	w.hear(map[string]status.Reader{
		"lb1": reader("shop/web", nil), "lb2": reader("*/*", map[string]int64{"c1": 11}), "lb3": reader("shop/api", nil), "lb4": reader("shop/*", map[string]int64{"c1": 12}),
	})
	w.want(t, "stopped, with readers")
	w.put("c1", status.StateDraining, 12)
	w.want(t, "draining", "reader lb1 (haproxy)", "reader lb2 (haproxy)")
	w.hear(map[string]status.Reader{"lb2": reader("*/*", map[string]int64{"c1": 12, "c2": 1})})
	w.want(t, "one has died, one has applied it")
	w.put("c1", status.StateDraining, 13)
	w.want(t, "written again", "reader lb2 (haproxy)")
	k := status.Key{App: "shop", Entrypoint: "web", Node: "n1", ID: "c1"}
	w.apply(status.Change{Deleted: &k})
	w.want(t, "deleted")
}

func TestForWhomTheDrainOfANodeWaits(t *testing.T) {
	w := waiting(status.WholeNode)
	w.want(t, "nothing runs there")
	w.put("c1", status.StateDraining, 10)
	w.put("c2", status.StateStopped, 11)
	w.put("c3", status.StateHealthy, 12)
	w.hear(map[string]status.Reader{"lb1": reader("shop/web", map[string]int64{"c1": 10})})
	w.want(t, "one is still healthy", "the agent of node n1")
	w.put("c3", status.StateDraining, 13)
	w.want(t, "all drain", "reader lb1 (haproxy)")
	w.hear(map[string]status.Reader{"lb1": reader("shop/web", map[string]int64{"c1": 10, "c3": 13})})
	w.want(t, "all is applied")
	var out strings.Builder
	if err := w.done(&out); err != nil || out.String() != "nothing new is sent: applied by lb1\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
}

func TestADrainIsNotDoneWhileEtcdCannotBeHeard(t *testing.T) {
	w := &drainWait{target: target{key: status.DrainKey{Node: "n1", ID: "c1"}}, tree: status.NewTree()}
	w.want(t, "at first", "etcd")
	w.hear(nil)
	w.want(t, "readers alone", "etcd")
	w.apply(status.Change{Synced: true})
	w.want(t, "both")
	w.apply(status.Change{Lost: errors.New("gone")})
	w.want(t, "lost", "etcd")
	if got := w.whom(); got != "etcd (gone)" {
		t.Errorf("it says %q", got)
	}
	w.apply(status.Change{Synced: true})
	w.want(t, "back")
	if got := w.whom(); got != "etcd" {
		t.Errorf("before it has asked once more it says %q", got)
	}
}

func TestOperatorIsNamed(t *testing.T) {
	t.Setenv("SUDO_USER", "alice")
	if got := operator(); !strings.HasPrefix(got, "alice@") || got == "alice@" {
		t.Errorf("it is %q", got)
	}
	t.Setenv("SUDO_USER", "")
	if got := operator(); strings.HasPrefix(got, "@") || !strings.Contains(got, "@") {
		t.Errorf("it is %q", got)
	}
}
