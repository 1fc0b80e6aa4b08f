package chaos

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/healthcheck"
	"github.com/projecteru2/eru-agent/status/etcdtest"
	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

// labelled is an agent under containers with hostile labels, in a cage.
type labelled struct {
	t      *testing.T
	row    *row
	crowd  *rig.Crowd
	n      *rig.Node
	a      *rig.Agent
	shelf  *shelf
	parser *healthcheck.Parser
	wire   *sniffer
	homes  map[netip.Addr]bool // every address that a container had
	probed map[netip.Addr]bool // those to which a connection was opened
	own    map[netip.AddrPort]bool
	counts map[string]int
}

// TestLabelled runs the agent's binary with containers that bear hostile labels, thousands in full. Each is checked or
// invalid, nothing else is dialled, and what the agent writes, logs and counts stays in order.
func TestLabelled(t *testing.T) {
	t.Parallel()
	row := newRow(t, ofContainers, "hostile labels on containers", "etcd 3.7, crowd, cage")
	if !caged() {
		row.cage()
		return
	}
	row.furnish()
	etcd := etcdtest.Start(t)
	l := &labelled{
		t: t, row: row, crowd: rig.NewCrowd(t, dockertest.Config{}), parser: healthcheck.NewParser(limits()), wire: sniff(t),
		homes: map[netip.Addr]bool{}, probed: map[netip.Addr]bool{}, counts: map[string]int{},
	}
	l.n = r.CrowdNode(t, l.crowd, etcd.Endpoint(), clientv3.Config{})
	l.shelf = &shelf{row: row, n: l.n, labels: map[string]map[string]string{}, last: map[string]rig.Status{}}
	l.a = l.n.Start().AwaitReady()
	l.own = map[netip.AddrPort]bool{
		netip.MustParseAddrPort(strings.TrimPrefix(etcd.Endpoint(), "http://")): true, netip.MustParseAddrPort(l.a.API()): true,
	}
	port := l.crowd.Labels("")["eru.health.http.port"]
	sets, batch := labelSets(seed+1, of(300, 10_000), port), of(150, 500)
	before := baseline(t, l.a)
	for ; len(sets) > 0; sets = sets[min(batch, len(sets)):] {
		l.try(sets[:min(batch, len(sets))], before)
	}
	row.flat(l.a, before)
	l.logs()
	if code, body, err := l.a.Get("/readyz"); err != nil || code != http.StatusOK {
		row.wrongly("the agent is not ready in the end: %d %s %v", code, body, err)
	}
	row.note("%v", fmt.Sprintf("%d invalid, %d healthy, %d not", l.counts["invalid"], l.counts["healthy"], l.counts["starting"]))
	row.note("agent at most %d MB", memory(t, l.a).most>>20)
}

// try runs one container for each set, until all are judged, and removes them.
func (l *labelled) try(sets []labelSet, before load) {
	l.t.Helper()
	wanted := map[string]func(rig.Status) string{}
	homes := map[string]netip.Addr{}
	for _, set := range sets {
		c := l.crowd.Run(dockertest.Spec{Labels: set.labels, Name: fmt.Sprintf("%s%d", strings.ToValidUTF8(set.name, "?"), len(l.shelf.labels))})
		homes[c.ID] = netip.MustParseAddr(c.Networks["bridge"])
		l.homes[homes[c.ID]] = true
		l.shelf.labels[c.ID] = set.labels
		wanted[c.ID] = l.expect(set, c)
	}
	l.row.injected(len(sets))
	var waiting string
	l.n.Await(l.t, "all to be judged", l.shelf.look(func(last map[string]rig.Status) bool {
		for id, want := range wanted {
			if waiting = want(last[id]); waiting != "" {
				waiting = fmt.Sprintf("%.12s %.2000q %s", id, l.shelf.labels[id], waiting)
				return false
			}
		}
		return true
	}), func() string { return waiting })
	l.metrics(before, len(sets))
	l.look()
	for id := range wanted {
		l.counts[l.shelf.last[id].State]++
		if l.shelf.last[id].State == "healthy" && asksForHealth(l.shelf.labels[id], "http", "tcp") && !l.probed[homes[id]] {
			l.row.wrongly("%q is healthy and was never asked", l.shelf.labels[id])
		}
	}
	for id := range wanted {
		l.crowd.Remove(id)
	}
	l.n.Await(l.t, "all to be gone", l.shelf.look(func(last map[string]rig.Status) bool { return len(last) == 0 }),
		func() string { return fmt.Sprintf("%d keys left", len(l.shelf.last)) })
	l.look()
	clear(l.probed) // an address that became free is given again
}

// expect says what must be seen of a container; its answer is what is amiss, or "".
func (l *labelled) expect(set labelSet, c dockertest.Container) func(rig.Status) string {
	set.name = c.Name
	check, err := parseSet(l.row, l.parser, set)
	ours := set.labels["ERU"] == "1" || asksForHealth(set.labels, "")
	return func(s rig.Status) string {
		switch {
		case !ours && s.ID != "":
			return "is there, and nobody asked for that"
		case !ours:
		case s.ID == "":
			return "is not there"
		case err != nil && (s.State != "invalid" || s.Reason != "label" || !named(s.Detail)):
			return fmt.Sprintf("is %s by %q, not invalid: %v", s.State, s.Detail, err)
		case err == nil && len(check.Probes) == 0 && s.State != "healthy":
			return "has no check and is " + s.State
		case err == nil && len(check.Probes) > 0 && s.State != "healthy" && (s.State != "starting" || s.Reason == ""):
			return "is not judged, but " + s.State
		}
		return ""
	}
}

// look holds that nothing but containers, etcd, the agent's own port and its control probes were dialled.
func (l *labelled) look() {
	l.t.Helper()
	dialled, strange := l.wire.seen()
	for to := range dialled {
		control := to.Addr() == netip.MustParseAddr("127.0.0.1") && to.Port() >= 32768 // what the kernel chooses for listeners that ask for any
		switch {
		case l.homes[to.Addr()]:
			l.probed[to.Addr()] = true
		case !l.own[to] && !control:
			l.row.wrongly("%s was dialled", to)
		}
	}
	for to := range strange {
		l.row.wrongly("something that is no TCP went to %s", to)
	}
}

// metrics holds that the metrics can be read, and are no more than the containers account for.
func (l *labelled) metrics(before load, containers int) {
	l.t.Helper()
	_, body, err := l.a.Get("/metrics")
	if err != nil {
		l.t.Fatal(err)
	}
	line := regexp.MustCompile(`^([a-z_]+(\{([a-z_]+="[ -~]*",?)+\})? [-+.0-9eInfaN]+|# (HELP|TYPE) [ -~]+)$`)
	for text := range strings.Lines(body) {
		if text = strings.TrimSuffix(text, "\n"); !line.MatchString(text) {
			l.row.wrongly("a line of the metrics is not fit to be read: %.500q", text)
		}
	}
	if series, err := l.a.Series(); err != nil || series > before.series+5*containers+20 {
		l.row.leaked("%d series for %d containers: %v", series, containers, err)
	}
}

// logs holds that each line of the log is JSON that does nothing to a terminal.
func (l *labelled) logs() {
	l.t.Helper()
	for text := range strings.Lines(l.a.Err.String()) {
		if text = strings.TrimSuffix(text, "\n"); !json.Valid([]byte(text)) || unprintable(text) {
			l.row.wrongly("a line of the log is not fit to be read: %.500q", text)
		}
	}
}
