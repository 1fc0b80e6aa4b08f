package agent_test

import (
	"context"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/projecteru2/eru-agent/agent"
	"github.com/projecteru2/eru-agent/healthcheck"
	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/trail"
	"github.com/projecteru2/eru-agent/watcher"
)

// rig is an agent between its fakes, in a synctest bubble.
type rig struct {
	t      testing.TB
	agent  *agent.Agent
	events chan watcher.Event
	checks *checks
	etcd   *etcd
	memory *trail.Trail
	reg    *prometheus.Registry
	logs   *observer.ObservedLogs
	told   bool                 // of operators' wishes
	aside  []healthcheck.Result // of "canary"
}

func checkConfig() healthcheck.Config {
	return healthcheck.Config{
		Interval: 5 * time.Second, Timeout: 2 * time.Second, StartInterval: 200 * time.Millisecond,
		RetryInterval: time.Second, MinInterval: 100 * time.Millisecond, Grid: healthcheck.DefaultGrid, Concurrency: 16,
	}
}

func nodeConfig() agent.Config {
	return agent.Config{Node: "n1", NodeIP: netip.MustParseAddr("10.0.0.5")}
}

// newRig starts an agent for which etcd cannot be read yet.
func newRig(t *testing.T, cfg agent.Config) *rig {
	core, logs := observer.New(zapcore.WarnLevel)
	r := &rig{
		t: t, logs: logs, events: make(chan watcher.Event),
		checks: &checks{results: make(chan healthcheck.Result), jobs: map[string]healthcheck.Job{}},
		etcd:   &etcd{holds: map[status.Key]status.Status{}},
		memory: trail.New(),
		reg:    prometheus.NewPedanticRegistry(),
	}
	r.agent = agent.New(cfg, r.events, r.checks, r.etcd, healthcheck.NewParser(checkConfig()), r.memory, zap.New(core), agent.NewMetrics(r.reg))
	r.agent.Divert("canary", func(res healthcheck.Result) { r.aside = append(r.aside, res) })
	go func() { _ = r.agent.Run(t.Context()) }()
	return r
}

// openRig starts an agent that found nothing in etcd.
func openRig(t *testing.T) *rig {
	r := newRig(t, nodeConfig())
	r.adopt()
	return r
}

func (r *rig) adopt(found ...status.Found) {
	r.t.Helper()
	for _, f := range found {
		r.etcd.holds[f.Key] = f.Status
	}
	if !r.told {
		r.drain(nil)
	}
	if err := r.agent.Adopt(context.Background(), found); err != nil {
		r.t.Error(err)
	}
	r.etcd.open()
}

// drain tells what operators wish, by container ID.
func (r *rig) drain(wishes map[string]status.Drain, unread ...status.Unread) {
	r.t.Helper()
	r.told = true
	d := status.Drains{Wishes: map[status.DrainKey]status.Drain{}, Unread: unread}
	for id, wish := range wishes {
		d.Wishes[status.DrainKey{Node: "n1", ID: id}] = wish
	}
	if err := r.agent.Drain(context.Background(), d); err != nil {
		r.t.Error(err)
	}
	synctest.Wait()
}

func (r *rig) send(e watcher.Event) {
	if e.At.IsZero() {
		e.At = time.Now()
	}
	r.events <- e
	synctest.Wait()
}

func (r *rig) running(c watcher.Container) {
	r.send(watcher.Event{Kind: watcher.Running, ID: c.ID, Container: c})
}

func (r *rig) stopping(c watcher.Container, sig syscall.Signal) {
	r.send(watcher.Event{Kind: watcher.Stopping, ID: c.ID, Container: c, Signal: sig})
}

func (r *rig) exited(c watcher.Container, exit watcher.Exit) {
	r.send(watcher.Event{Kind: watcher.Exited, ID: c.ID, Container: c, Exit: exit})
}

func (r *rig) removed(id string) { r.send(watcher.Event{Kind: watcher.Removed, ID: id}) }

func (r *rig) listed(ids ...string) {
	present := map[string]bool{}
	for _, id := range ids {
		present[id] = true
	}
	r.send(watcher.Event{Kind: watcher.Listed, Present: present})
}

func (r *rig) synced() { r.send(watcher.Event{Kind: watcher.Synced}) }

func (r *rig) result(res healthcheck.Result) {
	if res.At.IsZero() {
		res.At = time.Now()
	}
	r.checks.results <- res
	synctest.Wait()
}

// probe hands in a verdict for what is being probed.
func (r *rig) probe(id string, v healthcheck.Verdict) {
	r.t.Helper()
	j, ok := r.checks.job(id)
	if !ok {
		r.t.Errorf("nothing probes %s", id)
		return
	}
	r.result(healthcheck.Result{ID: id, Epoch: j.Epoch, Verdict: v})
}

func (r *rig) passes(id string) {
	r.t.Helper()
	r.probe(id, healthcheck.Verdict{Pass: true, Probe: "http :80/"})
}

func (r *rig) fails(id string, reason healthcheck.Reason) {
	r.t.Helper()
	r.probe(id, healthcheck.Verdict{Reason: reason, Detail: "it is so", Probe: "http :80/"})
}

// says compares what has become visible in etcd since the last call.
func (r *rig) says(want ...string) {
	r.t.Helper()
	r.etcd.mu.Lock()
	defer r.etcd.mu.Unlock()
	if !slices.Equal(r.etcd.said, want) {
		r.t.Errorf("etcd saw  %q\nwant      %q", r.etcd.said, want)
	}
	r.etcd.said = nil
}

// only returns the one status that etcd holds.
func (r *rig) only() (status.Key, status.Status) {
	r.t.Helper()
	for k, s := range r.etcd.content() {
		return k, s
	}
	r.t.Error("etcd holds nothing")
	return status.Key{}, status.Status{}
}

// box is a container that began now.
func box(id string, labels map[string]string) watcher.Container {
	addr := netip.MustParseAddr("172.17.0.7")
	return watcher.Container{
		ID: id, Name: "web", Labels: labels, Started: time.Now(), Pid: 100, Addr: addr,
		Networks: map[string]netip.Addr{"bridge": addr}, StopSignal: syscall.SIGTERM, StopTimeout: 10 * time.Second,
	}
}

func probedLabels() map[string]string { return map[string]string{"eru.health.http.port": "80"} }

func plainLabels() map[string]string { return map[string]string{"ERU": "1"} }

func keyOf(id string) status.Key {
	return status.Key{App: "web", Entrypoint: "web", Node: "n1", ID: id}
}

// foundOf is what an earlier agent published of c, an hour ago.
func foundOf(c watcher.Container, state status.State, reason string) status.Found {
	return status.Found{Key: keyOf(c.ID), Status: status.Status{
		ID: c.ID, Name: c.Name, State: state, Reason: reason, Started: c.Started, Since: time.Now().Add(-time.Hour).Round(0),
		Networks: map[string]string{"bridge": "172.17.0.7"}, Endpoints: map[string]string{"80": "172.17.0.7:80"}, Check: checkOf(c),
	}}
}

// checkOf is how others ask c.
func checkOf(c watcher.Container) []byte {
	check, err := healthcheck.NewParser(checkConfig()).Parse(c.Labels)
	if err != nil {
		return nil
	}
	return check.Describe(c.Addr, func(port uint16) netip.AddrPort { return netip.AddrPortFrom(c.Addr, port) })
}

// forget takes what has become visible as read.
func (r *rig) forget() {
	synctest.Wait()
	r.etcd.mu.Lock()
	defer r.etcd.mu.Unlock()
	r.etcd.said = nil
}

// elapse lets d go by on the bubble's clock, and then all that follows from it.
func elapse(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // synctest's clock
	synctest.Wait()
}
