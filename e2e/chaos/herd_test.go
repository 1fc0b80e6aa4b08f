package chaos

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

// lag is how long Docker 20.10 lists a container as running after it has said that it died.
const lag = 400 * time.Millisecond

// herd is a crowd whose containers have real processes, with the ledger of what is true of them.
type herd struct {
	*rig.Crowd
	t    *testing.T
	row  *row
	n    *rig.Node
	l    *ledger
	b    *rig.Bodies
	apps int

	mu     sync.Mutex
	judged int
	fresh  time.Time             // when the last status was seen
	last   map[string]rig.Status // the newest that the witness saw, by container
}

func newHerd(t *testing.T, row *row, cfg dockertest.Config) *herd {
	t.Helper()
	h := &herd{Crowd: rig.NewCrowd(t, cfg), t: t, row: row, b: rig.NewBodies(t), apps: 2, last: map[string]rig.Status{}}
	h.n = r.CrowdNode(t, h.Crowd, etcdtest.Start(t).Endpoint(), clientv3.Config{})
	h.n.Flags = []string{"--healthcheck.interval", "1s", "--healthcheck.timeout", "2s"}
	h.l = newLedger(row, h.n)
	return h
}

// newID is one that no container has.
func newID() string {
	return fmt.Sprintf("%016x%016x%016x%016x", rand.Uint64(), rand.Uint64(), rand.Uint64(), rand.Uint64())
}

// join runs a new container and returns its ID.
func (h *herd) join() string {
	id := newID()
	h.joinAs(id)
	return id
}

func (h *herd) joinAs(id string) {
	h.l.begins(id)
	h.Run(dockertest.Spec{ID: id, Labels: h.Labels(fmt.Sprintf("app-%d", rand.IntN(h.apps))), Pid: h.b.Begin(id)})
}

// joinAll runs new containers and returns their IDs once all are seen.
func (h *herd) joinAll(n int) []string {
	h.t.Helper()
	ids := make([]string, n)
	for i := range ids {
		ids[i] = h.join()
	}
	h.settle(time.Now())
	return ids
}

// die ends the process of a container, and then Docker says so.
func (h *herd) die(id string) {
	h.l.dies(id)
	h.b.End(id)
	h.Die(id, 137)
}

// begin starts the next life of a container that has died, at another address if that is wanted.
func (h *herd) begin(id string, elsewhere bool) {
	h.l.is(id, "healthy", "starting", "stopped")
	h.live(id, elsewhere)
}

// restart ends a life and begins the next.
func (h *herd) restart(id string, elsewhere bool) {
	h.l.restarts(id)
	h.BeginStop(id)
	h.b.End(id)
	h.Die(id, 0)
	h.live(id, elsewhere)
}

func (h *herd) live(id string, elsewhere bool) {
	next := dockertest.Life{Pid: h.b.Begin(id)}
	if elsewhere {
		next.Networks = map[string]string{"bridge": fmt.Sprintf("127.%d.%d.%d", 20+rand.IntN(80), rand.IntN(256), 1+rand.IntN(254))}
	}
	h.NextLife(id, next)
	h.Start(id)
}

// remove ends a container for good.
func (h *herd) remove(id string) {
	h.l.goes(id)
	h.b.End(id)
	h.Remove(id)
	h.b.Bury(id)
}

// answer makes a container answer in a mode, which makes it be in state.
func (h *herd) answer(id, mode, state string) {
	c, _ := h.Container(id)
	h.l.is(id, state)
	h.Behave(c.Networks["bridge"], mode)
}

// settle returns once every container is seen as it is, its life and its facts included, and how long after since the last
// of them was.
func (h *herd) settle(since time.Time) time.Duration {
	h.t.Helper()
	took := h.l.settle(since)
	h.n.Await(h.t, "every life to be seen", func() bool { return len(h.stale()) == 0 }, func() string {
		list := h.stale()
		return fmt.Sprintf("%d that are not, as %s", len(list), list[0])
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	return max(took, h.fresh.Sub(since))
}

// stale are the containers of which etcd shows other facts than Docker has.
func (h *herd) stale() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	events := h.n.Since(h.judged)
	h.judged += len(events)
	for _, e := range events {
		if strings.HasPrefix(e.Key, "status/") && !e.Deleted() {
			s := e.Status(h.t)
			h.last[s.ID], h.fresh = s, e.At
		}
	}
	var list []string
	for _, c := range h.Containers() {
		s := h.last[c.ID]
		alive := c.Status == "running" || c.Status == "paused"
		switch {
		case !s.Started.Equal(c.StartedAt):
			list = append(list, fmt.Sprintf("%.12s of %s, not %s", c.ID, s.Started, c.StartedAt))
		case alive && (!maps.Equal(s.Networks, c.Networks) || s.Name != c.Name):
			list = append(list, fmt.Sprintf("%.12s is %s at %v, not %s at %v", c.ID, s.Name, s.Networks, c.Name, c.Networks))
		}
	}
	return list
}

// corrections is what the agent has counted.
func corrections(t *testing.T, a *rig.Agent) int {
	t.Helper()
	n, err := a.Metric("eru_agent_docker_resync_corrections_total")
	if err != nil {
		t.Fatal(err)
	}
	return int(n)
}
