package chaos

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

// verdicts says by which reason a container of the crowd is unhealthy in a mode.
func verdicts() map[string]string {
	by := map[string]string{}
	for reason, modes := range map[string]string{
		"timeout":       "silent deaf drip length-lie tls-slow tls-chain",
		"http_protocol": "endless-headers endless-header endless-status endless-interim endless-hints garbage status-line control length-negative length-beyond length-twice",
		"http_body":     "endless-body endless-length endless-gzip endless-chunk endless-chunks endless-extension chunk-beyond early",
		"reset":         "close cut reset",
		"tls":           "tls-garbage tls-alerts tls-certificates",
		"http_code":     "500 redirect=http://127.0.0.1:9/",
	} {
		for mode := range strings.FieldsSeq(modes) {
			by[mode] = reason
		}
	}
	return by
}

// roomFor is what the unit gives an agent: MemoryMax in systemd/eru-agent.service.
const roomFor = 256 << 20

// horde is a crowd of which many turn hostile beside a few that do not.
type horde struct {
	t          *testing.T
	row        *row
	crowd      *rig.Crowd
	n          *rig.Node
	a          *rig.Agent
	l          *ledger
	neighbours []dockertest.Container
}

// newHorde starts the agent and the neighbours, which are probed every 200 ms.
func newHorde(t *testing.T, fault string) *horde {
	t.Helper()
	h := &horde{t: t, row: newRow(t, ofContainers, fault, "etcd 3.7, crowd"), crowd: rig.NewCrowd(t, dockertest.Config{})}
	h.n = r.CrowdNode(t, h.crowd, etcdtest.Start(t).Endpoint(), clientv3.Config{})
	h.n.Flags = []string{"--healthcheck.retry_interval", of(time.Second, 2*time.Second).String()}
	h.a = h.n.Start().AwaitReady()
	h.l = newLedger(h.row, h.n)
	for range 20 {
		// A patient one: this process answers for all, and may have little CPU left.
		h.neighbours = append(h.neighbours, h.join("neighbour", map[string]string{"eru.health.timeout": "10s"}))
	}
	h.l.settle(time.Now())
	return h
}

func (h *horde) join(app string, more map[string]string) dockertest.Container {
	labels := h.crowd.Labels(app)
	maps.Copy(labels, more)
	c := h.crowd.Run(dockertest.Spec{Labels: labels})
	h.l.begins(c.ID)
	return c
}

// turn lets containers behave in their modes for a time, then well, and ends when all that is seen, which may take limit:
// interval, timeout and a margin.
func (h *horde) turn(modes map[string]string, length, limit time.Duration) {
	h.t.Helper()
	for id := range modes {
		h.l.is(id, "unhealthy")
	}
	at := time.Now()
	h.behave(modes)
	h.row.injected(len(modes))
	h.row.rightAfter(h.l.settle(at), limit)
	<-time.After(length) // the fault itself
	h.n.Catch()
	for id := range modes {
		h.l.begins(id)
	}
	at = time.Now()
	h.behave(nil)
	h.row.rightAfter(h.l.settle(at), limit)
}

// behave sets how each container answers, by its ID.
func (h *horde) behave(modes map[string]string) {
	for _, c := range h.crowd.Containers() {
		if c.Labels["eru.app"] != "names" {
			h.crowd.Behave(c.Networks["bridge"], modes[c.ID])
		}
	}
}

// onTime says how the neighbours were probed since it was last asked, and fails if one was not.
func (h *horde) onTime() time.Duration {
	h.t.Helper()
	var longest time.Duration
	for _, c := range h.neighbours {
		count, gap := h.crowd.Pulse(c.Networks["bridge"])
		if count == 0 {
			h.row.wrongly("neighbour %.12s was not probed", c.ID)
		}
		longest = max(longest, gap)
	}
	return longest
}

// gather joins some containers for each mode and returns which is to have which.
func (h *horde) gather(kinds []string, each int) map[string]string {
	h.t.Helper()
	modes := map[string]string{}
	for _, kind := range kinds {
		labels := map[string]string{
			"eru.health.interval": of(time.Second, 2*time.Second).String(), "eru.health.timeout": of(2*time.Second, 5*time.Second).String(), "eru.health.http.codes": "200", "eru.health.http.body": "^crowd",
		}
		if strings.HasPrefix(kind, "tls-") {
			labels["eru.health.http.scheme"], labels["eru.health.http.tls.skip_verify"] = "https", "true"
		}
		for range each {
			modes[h.join(kind[:min(len(kind), 8)], labels).ID] = kind
		}
	}
	h.l.settle(time.Now())
	return modes
}

// TestHorde turns many containers hostile at once, in every way, five ways at a time in full. The agent's memory must not
// grow with the number of probes, and stay within what its unit allows.
func TestHorde(t *testing.T) {
	h := newHorde(t, "containers hostile, each way")
	h.row.fault = fmt.Sprintf("%d containers hostile in each way", of(3, 50))
	h.badNames()
	before, by := baseline(t, h.a), verdicts()
	kinds := slices.SortedFunc(maps.Keys(by), func(a, b string) int { return cmp.Or(cmp.Compare(by[a], by[b]), cmp.Compare(a, b)) })
	h.onTime()
	var gap time.Duration
	first, last := footprint{}, footprint{}
	for i := range kinds[:of(1, 6)] {
		some := kinds
		if *full { // those that hang are spread evenly
			some = slices.DeleteFunc(slices.Clone(kinds), func(k string) bool { return slices.Index(kinds, k)%6 != i })
		}
		modes := h.gather(some, of(3, 50))
		h.onTime()
		h.turn(modes, of(2*time.Second, 8*time.Second), of(3500*time.Millisecond, 8*time.Second))
		gap = max(gap, h.onTime())
		h.reasons(modes, by)
		last = memory(t, h.a)
		if i == 0 {
			first = last
		}
		for id := range modes {
			h.l.goes(id)
			h.crowd.Remove(id)
		}
		h.l.settle(time.Now())
	}
	if last.most > roomFor || last.now > first.now+32<<20 {
		h.row.leaked("memory %d MB after the first, %d MB in the end, %d MB at most", first.now>>20, last.now>>20, last.most>>20)
	}
	h.row.flat(h.a, before)
	fitToRead(h.row, h.n, h.a)
	h.row.note("agent at most %d MB", last.most>>20)
	h.row.note("neighbours, probed every 200 ms, waited %s at most", short(gap))
}

// badNames lets a certificate bear names that would do harm to whoever prints them.
func (h *horde) badNames() {
	h.t.Helper()
	const address = "127.17.200.1"
	h.crowd.Behave(address, "tls-names")
	labels := h.crowd.Labels("names")
	labels["eru.health.http.scheme"], labels["eru.health.http.tls.server_name"] = "https", "shop.test"
	c := h.crowd.Run(dockertest.Spec{Labels: labels, Networks: map[string]string{"bridge": address}})
	h.l.is(c.ID, "starting")
	rig.Await(h.t, "the names of a certificate in etcd", func() error {
		if e, ok := h.n.Last("status/names/web/" + h.n.Name + "/" + c.ID); !ok || !strings.Contains(string(e.Value), "certificate is valid for") {
			return fmt.Errorf("there is %s", e.Value)
		}
		return nil
	})
}

// reasons holds that each container was called unhealthy by the reason that its mode has, and by nothing else.
func (h *horde) reasons(modes, by map[string]string) {
	h.t.Helper()
	for _, e := range h.n.Events("status/") {
		if e.Deleted() {
			continue
		}
		s := e.Status(h.t)
		if mode, ok := modes[s.ID]; ok && s.State == "unhealthy" && s.Reason != by[mode] {
			h.row.wrongly("mode %s is %s, not %s: %s", mode, s.Reason, by[mode], s.Detail)
		}
	}
}

// TestHangingNeighbours lets most of the agent's slots hang in the ways that cost the most, for as long as a label can ask.
func TestHangingNeighbours(t *testing.T) {
	h := newHorde(t, "")
	h.row.fault = fmt.Sprintf("%d of 256 slots hang for 2 s each", of(100, 200))
	before := baseline(t, h.a)
	modes := map[string]string{}
	for i, kind := range []string{"silent", "deaf", "drip", "tls-slow"} {
		labels := map[string]string{"eru.health.interval": "1s"}
		if i == 3 {
			labels["eru.health.http.scheme"], labels["eru.health.http.tls.skip_verify"] = "https", "true"
		}
		for range of(25, 50) {
			modes[h.join("hanging", labels).ID] = kind
		}
	}
	h.l.settle(time.Now())
	h.onTime()
	h.turn(modes, of(3*time.Second, 10*time.Second), 3500*time.Millisecond)
	h.row.note("neighbours, probed every 200 ms, waited %s at most", short(h.onTime()))
	h.row.flat(h.a, before)
}

// TestCostlyCertificates lets containers show a hundred certificates that may all have signed the next one, and of which
// none has.
func TestCostlyCertificates(t *testing.T) {
	h := newHorde(t, "")
	h.row.fault = fmt.Sprintf("%d containers show costly certificates", of(4, 30))
	before, port := baseline(t, h.a), costly(t)
	at, spent := time.Now(), cpu(t, h.a)
	h.onTime()
	for range of(4, 30) {
		labels := map[string]string{"eru.health.http.port": port, "eru.health.interval": "100ms", "eru.health.http.scheme": "https", "eru.health.http.tls.server_name": "shop.test"}
		maps.Copy(labels, map[string]string{"eru.app": "costly", "eru.entrypoint": "web"})
		h.l.is(h.crowd.Run(dockertest.Spec{Labels: labels}).ID, "starting")
		h.row.injected(1)
	}
	<-time.After(of(3*time.Second, 10*time.Second)) // the fault itself
	h.l.settle(time.Now())
	h.l.nothingNew()
	h.row.note("agent used %.1f CPUs", (cpu(t, h.a)-spent).Seconds()/time.Since(at).Seconds())
	h.row.note("neighbours, probed every 200 ms, waited %s at most", short(h.onTime()))
	for _, c := range h.crowd.Containers() {
		if c.Labels["eru.app"] == "costly" {
			h.l.goes(c.ID)
			h.crowd.Remove(c.ID)
		}
	}
	h.l.settle(time.Now())
	h.row.flat(h.a, before)
}
