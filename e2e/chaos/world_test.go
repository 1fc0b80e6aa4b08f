package chaos

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

// scene is an etcd, and a way to it that can be broken, for one world after the other.
type scene struct {
	etcd    *etcdtest.Server
	proxy   *etcdtest.Proxy
	process bool // the server is one, and can be frozen
	frozen  bool
	down    bool
	broken  bool // the way to it
	worlds  int
	steps   int
}

func newScene(t *testing.T, process bool) *scene {
	t.Helper()
	start := etcdtest.Start
	if process {
		start = etcdtest.StartProcess
	}
	etcd := start(t)
	return &scene{etcd: etcd, process: process, proxy: etcdtest.NewProxy(t, etcd.Address())}
}

// worlds counts those of all scenes, for container IDs that no other has.
var worlds atomic.Int64

// world is one node in the course of a sequence: what is truly so, and what is needed to change it and to look at etcd.
type world struct {
	*scene
	t       *trial
	node    *rig.Node
	crowd   *rig.Crowd
	kinds   map[string]kind
	with    map[string]bool
	answers map[string]string // by address, "" for ok

	boxes  map[string]*box // the container that stands in a slot now
	all    map[string]*box // by ID, those that are gone too
	lives  map[life]*past
	serial int64 // of the world, on this machine
	moves  int

	agent   *rig.Agent   // the newest, nil if it was killed
	stopped bool         // it was sent SIGSTOP
	older   []*rig.Agent // that may still run and must end
	deaf    []func()     // undo what is done to events
	lost    bool         // events were lost or came late
	foreign map[int64]bool
	marred  bool // somebody else wrote, and no agent has begun since

	judged  int
	current map[string]rig.Event // what stands in etcd, as the witness has seen it
	seq     uint64
	states  map[life]string
	latest  map[string]time.Time // the start of the newest life seen, by container ID
}

// box is a container.
type box struct {
	id, slot string
	kind     kind
	names    []string // all it has had
	lender   string   // ID of the container whose network it has
	oom      bool     // its last end
	tampered bool     // somebody else wrote its key
	body     *body
	reached  []string // addresses of the life that is, or was last
}

// life is one of a container's.
type life struct {
	id      string
	started int64
}

func lifeOf(c dockertest.Container) life { return life{c.ID, c.StartedAt.UnixNano()} }

// newWorld makes a node without containers whose agent runs.
func (s *scene) newWorld(t *trial, with map[string]bool) *world {
	cfg := dockertest.Config{StaleInspect: with["stale"]}
	if with["lag"] {
		cfg.DeathLag = 300 * time.Millisecond
	}
	w := &world{
		scene: s, t: t, with: with, answers: map[string]string{}, crowd: rig.NewCrowd(t, cfg), kinds: map[string]kind{},
		boxes: map[string]*box{}, all: map[string]*box{}, lives: map[life]*past{}, foreign: map[int64]bool{},
		current: map[string]rig.Event{}, states: map[life]string{}, latest: map[string]time.Time{},
	}
	for _, k := range kinds(w.crowd.Labels("")["eru.health.http.port"]) {
		w.kinds[k.name] = k
	}
	s.worlds++
	w.serial = worlds.Add(1)
	quick := grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.5, MaxDelay: 200 * time.Millisecond}, MinConnectTimeout: time.Second})
	w.node = r.CrowdNodeUnder(t, w.crowd, "http://"+s.proxy.Address(), fmt.Sprintf("/oracle/%d", s.worlds),
		clientv3.Config{Endpoints: []string{s.etcd.Endpoint()}, DialOptions: []grpc.DialOption{quick}})
	w.node.Flags = []string{"--etcd.timeout", "500ms", "--etcd.session_ttl", "2s", "--healthcheck.timeout", "400ms"}
	t.Cleanup(w.mendEtcd)
	w.startAgent()
	return w
}

// play makes everything happen, ends what is broken, and holds etcd against the oracle.
func (s *scene) play(t *trial, q sequence) time.Duration {
	with := map[string]bool{}
	for len(q) > 0 && q[0].verb == "with" {
		with[q[0].arg] = true
		q = q[1:]
	}
	w := s.newWorld(t, with)
	for _, one := range q {
		if verbs()[one.verb].do(w, one) {
			w.reconsider()
			w.judge()
		}
	}
	return w.rest()
}

// rest mends everything and returns how long it then took until etcd was right.
func (w *world) rest() time.Duration {
	w.mend()
	w.reconsider()
	mended := time.Now()
	return w.quiet().Sub(mended)
}

// reconsider notes what a life may know of itself from now on.
func (w *world) reconsider() {
	for _, c := range w.crowd.Containers() {
		b := w.all[c.ID]
		t := w.facts(c)
		if !t.alive() {
			continue
		}
		if w.lives[lifeOf(c)] == nil {
			w.lives[lifeOf(c)] = &past{}
			b.reached = nil
		}
		p := w.lives[lifeOf(c)]
		p.paused = p.paused || c.Status == "paused"
		if address := t.address(); address != "" && !slices.Contains(b.reached, address) {
			b.reached = append(b.reached, address)
		}
		for _, address := range b.reached {
			p.mayPass = p.mayPass || b.kind.fault != nil && b.kind.fault(w.answer(address)) == ""
		}
	}
}

// facts are all there is to know of a container.
func (w *world) facts(c dockertest.Container) facts {
	b := w.all[c.ID]
	t := facts{Container: c, kind: b.kind, oom: b.oom, answers: w.answer}
	if p := w.lives[lifeOf(c)]; p != nil {
		t.past = *p
	}
	if lender, ok := w.crowd.Container(b.lender); ok && b.lender != "" {
		if of := w.facts(lender); of.alive() {
			t.lender = &of
		}
	}
	return t
}

// answer is how a container answers at an address.
func (w *world) answer(address string) string {
	if mode := w.answers[address]; mode != "" {
		return mode
	}
	return "ok"
}

// past is the past of a life, which may have been told of before it is known.
func (w *world) past(of life) *past {
	if w.lives[of] == nil {
		w.lives[of] = &past{}
	}
	return w.lives[of]
}

// content is what etcd holds, in words.
func (w *world) content() string {
	var all []string
	for key, e := range w.current {
		all = append(all, fmt.Sprintf("%s = %s", key, e.Value))
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}
