package monitor_test

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/projecteru2/eru-agent/healthcheck"
	"github.com/projecteru2/eru-agent/selfmon/monitor"
	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what a test waits for; nothing is measured with it.
const patience = 30 * time.Second

// world is some nodes with one etcd.
type world struct {
	t      *testing.T
	server *etcdtest.Server
	prefix string
	net    *network
	cfg    monitor.Config
	ttl    time.Duration
}

// onBoth runs cases against an embedded etcd and against the program in PATH.
func onBoth(t *testing.T, cases map[string]func(*world)) {
	t.Helper()
	t.Parallel()
	for _, server := range []struct {
		name  string
		start func(testing.TB, ...etcdtest.Option) *etcdtest.Server
	}{{"embedded", etcdtest.Start}, {"process", etcdtest.StartProcess}} {
		t.Run(server.name, func(t *testing.T) {
			t.Parallel()
			s := server.start(t)
			for name, test := range cases {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					test(&world{
						t: t, server: s, prefix: "/" + strings.ReplaceAll(name, " ", "-"), ttl: 2 * time.Second,
						net: &network{wire: monitor.NewWire(), dead: map[netip.Addr]bool{}}, cfg: monitor.Config{MaxLost: 0.34, HostPorts: []uint16{1}},
					})
				})
			}
		})
	}
}

func (w *world) store() *status.Store {
	s := status.NewStore(status.Config{Endpoints: []string{w.server.Endpoint()}, Prefix: w.prefix, Timeout: 5 * time.Second}, zap.NewNop())
	w.t.Cleanup(func() { _ = s.Close() })
	return s
}

// network is this host's, but for some addresses from which nothing comes.
type network struct {
	wire *monitor.Wire

	mu   sync.Mutex
	dead map[netip.Addr]bool
}

func (n *network) kill(addrs ...netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, addr := range addrs {
		n.dead[addr] = true
	}
}

func (n *network) revive(addr netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.dead, addr)
}

func (n *network) Ask(ctx context.Context, places []netip.AddrPort) (map[netip.AddrPort]bool, bool) {
	answers, fit := n.wire.Ask(ctx, places)
	n.mu.Lock()
	defer n.mu.Unlock()
	for place := range answers {
		answers[place] = answers[place] && !n.dead[place.Addr()]
	}
	return answers, fit
}

func (n *network) Along(host, place netip.Addr) bool { return n.wire.Along(host, place) }

// node is a node's agent as far as etcd sees it: the real writer and session.
type node struct {
	*status.Writer
	w       *world
	name    string
	addr    netip.Addr
	session *session
	end     func()

	mu   sync.Mutex
	mute bool // it opens no session
}

// session is a lease that is held.
type session struct {
	mu      sync.Mutex
	lease   int64
	changed chan struct{}
}

func (s *session) Lease() (int64, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lease, s.changed
}

func (s *session) set(lease int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lease = lease
	close(s.changed)
	s.changed = make(chan struct{})
}

var hosts atomic.Uint32

// ownAddr is a loopback address of a node's own.
func ownAddr() netip.Addr {
	n := hosts.Add(1)
	return netip.AddrFrom4([4]byte{127, 77, byte(n >> 8), byte(n)})
}

// node starts an agent at an address of its own.
func (w *world) node(name string) *node {
	w.t.Helper()
	return w.nodeAt(name, ownAddr())
}

func (w *world) nodeAt(name string, addr netip.Addr) *node {
	w.t.Helper()
	store := w.store()
	id := status.Identity{Node: name, Instance: fmt.Sprintf("%s-%d", name, hosts.Add(1)), Version: "v1", Machine: "m-" + name, Started: time.Now(), Address: addr.String(), Session: true}
	n := &node{w: w, name: name, addr: addr, session: &session{changed: make(chan struct{})},
		Writer: status.NewWriter(store, id, zap.NewNop(), new(status.WriterMetrics))}
	ctx, cancel := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	parts.Go(func() { _ = n.Run(ctx, func(context.Context, []status.Found) error { return nil }) })
	parts.Go(func() {
		for ctx.Err() == nil {
			if n.muted() {
				<-time.After(10 * time.Millisecond)
				continue
			}
			_ = store.Hold(ctx, w.ttl, func(lease int64) { n.session.set(lease); n.say(status.NodeRunning) })
			n.session.set(0)
		}
	})
	n.end = sync.OnceFunc(func() { cancel(); parts.Wait() })
	w.t.Cleanup(n.end)
	w.eventually("the session of "+name, func() bool { lease, _ := n.session.Lease(); return lease != 0 })
	n.settle()
	return n
}

func (n *node) muted() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.mute
}

// setMute lets the agent live on without a session, as one does that cannot
// reach etcd, or open one again.
func (n *node) setMute(mute bool) {
	n.mu.Lock()
	n.mute = mute
	n.mu.Unlock()
	if lease, _ := n.session.Lease(); mute && lease != 0 {
		n.w.server.Revoke(lease)
	}
}

func (n *node) say(state string) {
	lease, _ := n.session.Lease()
	n.SetNode(status.Node{Nodename: n.name, Alive: true, Agent: status.NodeAgent{Instance: n.name, Version: "v1", Machine: "m-" + n.name, State: state}}, lease)
}

func (n *node) settle() {
	n.w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := n.Wait(ctx); err != nil {
		n.w.t.Fatal(err)
	}
}

// monitor runs the node's monitor, until the returned function or the end of
// the test.
func (n *node) monitor() (*prometheus.Registry, func()) {
	reg := prometheus.NewRegistry()
	health := healthcheck.Config{
		Interval: 200 * time.Millisecond, Timeout: time.Second, StartInterval: 100 * time.Millisecond, RetryInterval: 100 * time.Millisecond,
		MinInterval: 100 * time.Millisecond, Grid: healthcheck.DefaultGrid, Concurrency: 64,
	}
	probed := healthcheck.NewMetrics(prometheus.NewRegistry())
	cfg := n.w.cfg
	cfg.Node, cfg.Instance = n.name, n.name
	m := monitor.New(cfg, n.w.store(), n.session, n.w.net,
		func() monitor.Checks { return healthcheck.NewRunner(health, healthcheck.LoopbackControl, probed) },
		healthcheck.NewParser(health), zaptest.NewLogger(n.w.t), monitor.NewMetrics(reg))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = m.Run(ctx) }()
	stop := sync.OnceFunc(func() { cancel(); <-done })
	n.w.t.Cleanup(stop)
	return reg, stop
}

// server is a container's HTTP server.
type server struct {
	at   netip.AddrPort
	code atomic.Int64
}

func (n *node) serve() *server {
	s := &server{}
	s.code.Store(200)
	l, err := net.Listen("tcp", netip.AddrPortFrom(n.addr, 0).String())
	if err != nil {
		n.w.t.Fatal(err)
	}
	web := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(int(s.code.Load())) })}}
	web.Start()
	n.w.t.Cleanup(web.Close)
	s.at = l.Addr().(*net.TCPAddr).AddrPort()
	return s
}

func (n *node) key(id string) status.Key {
	return status.Key{App: "shop", Entrypoint: "web", Node: n.name, ID: id}
}

// publish publishes a container that is asked at a place, or that nobody else
// can ask.
func (n *node) publish(id string, state status.State, at netip.AddrPort) status.Key {
	n.w.t.Helper()
	k := n.key(id)
	s := status.Status{ID: id, Name: id, State: state, Since: time.Now(), Started: time.Now()}
	if at.IsValid() {
		s.Check = check(n.w.t, at)
	}
	n.Set(k, s, time.Now())
	n.settle()
	return k
}

func check(t *testing.T, at netip.AddrPort) []byte {
	t.Helper()
	parser := healthcheck.NewParser(healthcheck.Config{Interval: 200 * time.Millisecond, Timeout: time.Second, MinInterval: 100 * time.Millisecond})
	c, err := parser.Parse(map[string]string{"eru.health.http.port": "80"})
	if err != nil {
		t.Fatal(err)
	}
	return c.Describe(netip.MustParseAddr("172.17.0.7"), func(uint16) netip.AddrPort { return at })
}

// tree is what etcd holds.
func (w *world) tree() status.Tree {
	w.t.Helper()
	tree, err := w.store().List(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	return tree
}

func (w *world) state(k status.Key) string {
	w.t.Helper()
	s := w.tree().Containers[k].Status
	return strings.TrimSpace(string(s.State) + " " + s.Reason)
}

func (w *world) await(k status.Key, want string) {
	w.t.Helper()
	got := ""
	w.eventually(fmt.Sprintf("%s of %s to be %q", k.ID, k.Node, want), func() bool { got = w.state(k); return got == want })
}

func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	late := time.After(patience)
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for !ok() {
		select {
		case <-poll.C:
		case <-late:
			w.t.Fatalf("waited in vain for %s; etcd holds %v", what, maps.Collect(maps.All(w.tree().Containers)))
		}
	}
}
