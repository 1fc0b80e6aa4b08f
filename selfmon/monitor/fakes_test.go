package monitor_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"

	"github.com/projecteru2/eru-agent/healthcheck"
	"github.com/projecteru2/eru-agent/selfmon/monitor"
	"github.com/projecteru2/eru-agent/status"
)

// bubble is a monitor between its fakes, in a synctest bubble.
type bubble struct {
	t      *testing.T
	etcd   *etcd
	net    *ether
	checks *checks
	reg    *prometheus.Registry
	ended  chan error
	stop   func()
}

// etcd is a monitor.Term and the nodes that a monitor.Store follows.
type etcd struct {
	monitor.Store // nobody is elected here

	mu       sync.Mutex
	owners   map[string]status.Owner
	living   map[string]bool
	overdue  map[string]bool
	holds    map[status.Key]status.Entry
	notes    map[string]status.Silence
	forgot   []string
	written  []string
	calls    int
	broken   error // of every call
	over     bool
	revision int64
	presence chan status.Presence
}

// ether is the network: what does not answer.
type ether struct {
	mu    sync.Mutex
	dead  map[netip.Addr]bool
	unfit bool
	asked int
}

func (e *ether) set(change func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change()
}

func (e *ether) Ask(ctx context.Context, places []netip.AddrPort) (map[netip.AddrPort]bool, bool) {
	select { // the living answer at once; who waits for one that is dead waits so long
	case <-time.After(time.Second):
	case <-ctx.Done():
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	answers := map[netip.AddrPort]bool{}
	for _, place := range places {
		e.asked++
		answers[place] = !e.dead[place.Addr()]
	}
	return answers, !e.unfit
}

func (e *ether) Along(_, place netip.Addr) bool { return place.As4()[0] == 10 }

// checks is a monitor.Checks that remembers what it was given.
type checks struct {
	results chan healthcheck.Result

	mu   sync.Mutex
	jobs map[string]healthcheck.Job
}

func (c *checks) Set(j healthcheck.Job) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.jobs[j.ID] = j
}

func (c *checks) Remove(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.jobs, id)
}

func (c *checks) Results() <-chan healthcheck.Result { return c.results }

func (c *checks) Run(ctx context.Context) error { <-ctx.Done(); return nil }

func (c *checks) probed() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.jobs))
}

// newBubble makes a monitor on node n0, among n nodes that live.
func newBubble(t *testing.T, n int, cfg monitor.Config) *bubble {
	b := &bubble{
		t: t, net: &ether{dead: map[netip.Addr]bool{}}, checks: &checks{results: make(chan healthcheck.Result), jobs: map[string]healthcheck.Job{}},
		etcd: &etcd{
			owners: map[string]status.Owner{}, living: map[string]bool{}, overdue: map[string]bool{}, holds: map[status.Key]status.Entry{},
			notes: map[string]status.Silence{}, presence: make(chan status.Presence),
		},
	}
	for i := range n {
		b.etcd.owners[name(i)] = status.Owner{Instance: "i", Sequence: 7, Address: host(i).String(), Session: true}
		b.etcd.living[name(i)] = true
	}
	if cfg.MaxLost == 0 {
		cfg.MaxLost = 0.34
	}
	cfg.Node, cfg.Instance, cfg.HostPorts = "n0", "i0", []uint16{22}
	b.begin(cfg)
	return b
}

// begin lets a monitor be elected.
func (b *bubble) begin(cfg monitor.Config) {
	b.reg, b.ended = prometheus.NewRegistry(), make(chan error, 1)
	m := monitor.New(cfg, b.etcd, nil, b.net, func() monitor.Checks { return b.checks },
		healthcheck.NewParser(healthcheck.Config{Interval: 5 * time.Second, Timeout: time.Second, MinInterval: time.Second}), zap.NewNop(), monitor.NewMetrics(b.reg))
	ctx, cancel := context.WithCancel(b.t.Context())
	b.stop = cancel
	go func() { b.ended <- m.Serve(ctx, b.etcd) }()
	synctest.Wait()
}

func name(i int) string { return fmt.Sprintf("n%d", i) }

func host(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}) }

// container stands in etcd; port 0 is one that nobody else can ask.
func (b *bubble) container(i int, id string, state status.State, port uint16) status.Key {
	k := status.Key{App: "shop", Entrypoint: "web", Node: name(i), ID: id}
	s := status.Status{ID: id, Name: id, State: state, Started: time.Now()}
	if port != 0 {
		s.Check = check(b.t, netip.AddrPortFrom(host(i), port))
	}
	b.etcd.mu.Lock()
	defer b.etcd.mu.Unlock()
	b.etcd.revision++
	b.etcd.holds[k] = status.Entry{Key: k, Status: s, Revision: b.etcd.revision}
	return k
}

// described has a container's agent say how it is asked at an address by itself.
func (b *bubble) described(k status.Key, via string, addr netip.Addr) {
	b.t.Helper()
	c, err := healthcheck.NewParser(healthcheck.Config{Interval: time.Second, Timeout: time.Second, MinInterval: time.Second, Netns: true}).
		Parse(map[string]string{"eru.health.http.port": "80", "eru.health.via": via})
	if err != nil {
		b.t.Fatal(err)
	}
	b.etcd.set(func() {
		e := b.etcd.holds[k]
		e.Status.Check = c.Describe(addr, func(port uint16) netip.AddrPort { return netip.AddrPortFrom(addr, port) })
		b.etcd.holds[k] = e
	})
}

// die ends a node's session, of its agent alone or with its host.
func (b *bubble) die(withHost bool, nodes ...int) {
	for _, i := range nodes {
		if withHost {
			b.net.set(func() { b.net.dead[host(i)] = true })
		}
		b.etcd.mu.Lock()
		delete(b.etcd.living, name(i))
		b.etcd.mu.Unlock()
		b.etcd.presence <- status.Presence{Node: name(i)}
	}
	synctest.Wait()
}

func (b *bubble) back(nodes ...int) {
	for _, i := range nodes {
		b.net.set(func() { delete(b.net.dead, host(i)) })
		b.etcd.mu.Lock()
		b.etcd.living[name(i)] = true
		b.etcd.mu.Unlock()
		b.etcd.presence <- status.Presence{Node: name(i), Up: true, Lease: int64(i + 1)}
	}
	synctest.Wait()
}

// verdict hands in what a probe of a container found.
func (b *bubble) verdict(k status.Key, v healthcheck.Verdict) {
	b.t.Helper()
	b.checks.mu.Lock()
	j, ok := b.checks.jobs[k.App+"/"+k.Entrypoint+"/"+k.Node+"/"+k.ID]
	b.checks.mu.Unlock()
	if !ok {
		b.t.Errorf("nobody probes %s of %s", k.ID, k.Node)
		return
	}
	b.checks.results <- healthcheck.Result{ID: j.ID, Epoch: j.Epoch, Verdict: v, At: time.Now()}
	synctest.Wait()
}

// says compares what was written since the last call.
func (b *bubble) says(want ...string) {
	b.t.Helper()
	synctest.Wait()
	b.etcd.mu.Lock()
	defer b.etcd.mu.Unlock()
	slices.Sort(b.etcd.written)
	if !slices.Equal(b.etcd.written, want) {
		b.t.Errorf("written  %q\nwant     %q", b.etcd.written, want)
	}
	b.etcd.written = nil
}

func (b *bubble) forgot(want ...string) {
	b.t.Helper()
	b.etcd.mu.Lock()
	defer b.etcd.mu.Unlock()
	if !slices.Equal(b.etcd.forgot, want) {
		b.t.Errorf("forgotten: %q, want %q", b.etcd.forgot, want)
	}
}

func (b *bubble) guard(want float64) {
	b.t.Helper()
	families, err := b.reg.Gather()
	if err != nil {
		b.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "eru_agent_selfmon_guard_active" && f.GetMetric()[0].GetGauge().GetValue() != want {
			b.t.Errorf("the guard is %v, want %v", f.GetMetric()[0].GetGauge().GetValue(), want)
		}
	}
}

func (b *bubble) metrics(want string, names ...string) {
	b.t.Helper()
	if err := testutil.GatherAndCompare(b.reg, strings.NewReader(want), names...); err != nil {
		b.t.Error(err)
	}
}

// elapse lets d go by on the bubble's clock, and then all that follows from it.
func elapse(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // synctest's clock
	synctest.Wait()
}

// do counts a call, and fails it if etcd is broken.
func (e *etcd) do(call func() error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls++
	if e.broken != nil {
		return e.broken
	}
	return call()
}

func (e *etcd) FollowNodes(ctx context.Context, tell func(status.Presence)) error {
	all := map[string]int64{}
	e.mu.Lock()
	for node := range e.living {
		all[node] = leaseOf(node)
	}
	e.mu.Unlock()
	tell(status.Presence{All: all})
	for {
		select {
		case <-ctx.Done():
			return nil
		case p := <-e.presence:
			tell(p)
		}
	}
}

func leaseOf(node string) int64 {
	var i int64
	_, _ = fmt.Sscanf(node, "n%d", &i)
	return i + 1
}

func (e *etcd) Owners(context.Context) ([]string, error) {
	var names []string
	return names, e.do(func() error { names = slices.Collect(maps.Keys(e.owners)); return nil })
}

func (e *etcd) Silences(context.Context) (map[string]status.Silence, error) {
	var notes map[string]status.Silence
	return notes, e.do(func() error { notes = maps.Clone(e.notes); return nil })
}

func (e *etcd) Left(_ context.Context, lease int64) (time.Duration, time.Duration, error) {
	left := 9 * time.Second
	err := e.do(func() error {
		if e.overdue[name(int(lease-1))] {
			left = 3 * time.Second
		}
		return nil
	})
	return left, 10 * time.Second, err
}

func (e *etcd) Examine(_ context.Context, node string) (status.Remains, error) {
	r := status.Remains{Node: node}
	return r, e.do(func() error { r.Owner, r.Present = e.owners[node], e.living[node]; return nil })
}

func (e *etcd) Scan(_ context.Context, nodes []string) (map[string][]status.Key, error) {
	found := map[string][]status.Key{}
	return found, e.do(func() error {
		for k := range e.holds {
			if slices.Contains(nodes, k.Node) {
				found[k.Node] = append(found[k.Node], k)
			}
		}
		return nil
	})
}

func (e *etcd) Read(_ context.Context, r status.Remains, keys []status.Key) (status.Remains, error) {
	return r, e.do(func() error {
		for _, k := range keys {
			r.Statuses = append(r.Statuses, e.holds[k])
		}
		return nil
	})
}

func (e *etcd) Note(_ context.Context, notes map[string]*status.Silence) error {
	return e.do(func() error {
		if e.over {
			return status.ErrOver
		}
		for node, note := range notes {
			if note == nil {
				delete(e.notes, node)
				continue
			}
			e.notes[node] = *note
		}
		return nil
	})
}

func (e *etcd) Rewrite(_ context.Context, r status.Remains, entries []status.Entry) error {
	return e.do(func() error {
		if e.over {
			return status.ErrOver
		}
		if e.living[r.Node] || e.owners[r.Node].Sequence != r.Owner.Sequence {
			return status.ErrStirred
		}
		for _, entry := range entries {
			if e.holds[entry.Key].Revision != entry.Revision {
				return status.ErrStirred
			}
		}
		for i := range entries {
			e.revision++
			entries[i].Revision = e.revision
			e.holds[entries[i].Key] = entries[i]
			e.written = append(e.written, fmt.Sprintf("%s/%s %s %s", r.Node, entries[i].Key.ID, entries[i].Status.State, entries[i].Status.Reason))
		}
		return nil
	})
}

func (e *etcd) Forget(_ context.Context, r status.Remains) error {
	return e.do(func() error {
		if e.living[r.Node] {
			return status.ErrStirred
		}
		e.forgot = append(e.forgot, r.Node)
		delete(e.owners, r.Node)
		delete(e.notes, r.Node)
		maps.DeleteFunc(e.holds, func(k status.Key, _ status.Entry) bool { return k.Node == r.Node })
		return nil
	})
}

var errAway = errors.New("etcd is away")

func (e *etcd) set(change func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change()
}

func (e *etcd) text() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	b, _ := json.Marshal(e.notes)
	return string(b)
}
