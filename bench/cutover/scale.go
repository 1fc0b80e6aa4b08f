package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/projecteru2/eru-agent/bench/board"
	"github.com/projecteru2/eru-agent/bench/kernel"
	"github.com/projecteru2/eru-agent/bench/plan"
	"github.com/projecteru2/eru-agent/bench/report"
	"github.com/projecteru2/eru-agent/bench/stage"
	"github.com/projecteru2/eru-agent/e2e/proxy"
)

// perBackend is how many servers each backend has.
const perBackend = 10

func (b *bench) scales() []plan.Step {
	return []plan.Step{{What: fmt.Sprintf("%d servers in %d backends, %d changes a second", b.backends*perBackend, b.backends, b.changes), Takes: setUp + b.scale, Do: b.scaleUp}}
}

// crowd are many servers, which one process answers for, behind one HAProxy.
type crowd struct {
	*bench
	front
	prefix  string
	servers []*server

	mu  sync.Mutex
	lag []float64
	err error
}

// server is one of them.
type server struct {
	backend, address, key string
	id                    string
	healthy, busy         bool // crowd.mu guards them; busy while a change of it is under way
}

func (b *bench) scaleUp(ctx context.Context) error {
	c := &crowd{bench: b, front: front{of: ofHAProxy}, prefix: "/bench/scale"}
	defer c.end()
	if err := c.fill(ctx); err != nil {
		return err
	}
	if err := c.open(ctx); err != nil {
		return err
	}
	before, err := kernel.CPU(c.lb.Pid())
	if err != nil {
		return err
	}
	begun := kernel.Now()
	if err := c.change(ctx); err != nil {
		return err
	}
	took := kernel.Now() - begun
	after, err := kernel.CPU(c.lb.Pid())
	if err != nil {
		return err
	}
	memory, err := kernel.MemoryOf(c.lb.Pid())
	if err != nil {
		return err
	}
	c.publish(float64(after-before)/float64(took), memory)
	return nil
}

func (c *crowd) publish(share float64, memory kernel.Memory) {
	group := fmt.Sprintf("%d servers in %d backends, %d changes a second for %s", len(c.servers), c.backends, c.changes, c.scale)
	slices.Sort(c.lag)
	n := len(c.lag)
	for _, f := range []report.Figure{
		{What: "eru-lb's CPU, of one core", Unit: "%", Ours: []float64{100 * share}},
		{What: "eru-lb's memory, resident", Unit: "MB", Ours: []float64{report.Megabytes(memory.Resident)}, Note: fmt.Sprintf("peak %.0f MB", report.Megabytes(memory.Peak))},
		{What: "etcd put -> applied in HAProxy, median", Unit: "ms", Ours: []float64{report.Median(c.lag)}, Note: fmt.Sprintf("%d changes", n)},
		{What: "etcd put -> applied in HAProxy, 99th of 100", Unit: "ms", Ours: []float64{c.lag[(n*99+99)/100-1]}},
		{What: "etcd put -> applied in HAProxy, longest", Unit: "ms", Ours: []float64{c.lag[n-1]}},
	} {
		f.Group, f.Of = group, c.of
		c.add(f)
	}
}

// fill puts a status of each server into etcd.
func (c *crowd) fill(ctx context.Context) error {
	for i := range c.backends * perBackend {
		s := &server{backend: fmt.Sprintf("s%03d", i/perBackend), address: fmt.Sprintf("%s:%d", board.Address(i), c.stage.Port), id: stage.ContainerID(i), healthy: true}
		s.key = fmt.Sprintf("%s/status/%s/web/scale/%s", c.prefix, s.backend, s.id)
		c.servers = append(c.servers, s)
	}
	for some := range slices.Chunk(c.servers, 100) {
		var puts []clientv3.Op
		for _, s := range some {
			puts = append(puts, clientv3.OpPut(s.key, s.value(true)))
		}
		if _, err := c.stage.Etcd.Client.Txn(ctx).Then(puts...).Commit(); err != nil {
			return fmt.Errorf("putting statuses: %w", err)
		}
	}
	return nil
}

func (s *server) value(healthy bool) string {
	state := map[bool]string{true: `"healthy":true,"state":"healthy"`, false: `"healthy":false,"state":"unhealthy","reason":"http_code","detail":"status 503"`}[healthy]
	return fmt.Sprintf(`{"id":%q,"running":true,%s,"v":1,"name":%q,"endpoints":{"80":%q},"started":"2026-01-01T00:00:00Z","since":"2026-01-01T00:00:01Z","seq":1}`,
		s.id, state, "scale-"+s.id[:12], s.address)
}

// open starts HAProxy with all backends, and eru-lb, and waits until all are in.
func (c *crowd) open(ctx context.Context) error {
	p := proxy.Place{Listen: c.stage.Host() + ":8000", Etcd: c.stage.Etcd.Endpoint, Prefix: c.prefix, Root: c.root}
	var err error
	if p.Dir, err = c.stage.Dir("scale"); err != nil {
		return err
	}
	var backends, services []string
	for i := range c.backends {
		backends = append(backends, fmt.Sprintf("backend s%03d\n\tbalance roundrobin\n\tload-server-state-from-file global\n"+
			"\tdefault-server check inter 2s fall 3 rise 1 init-addr last,0.0.0.0\n\tserver-template eru 1-%d slot.invalid:1 disabled\n", i, 2*perBackend))
		services = append(services, fmt.Sprintf("s%03d/web=s%03d", i, i))
	}
	if c.haproxy, err = p.NewHAProxyOf(backends...); err != nil {
		return err
	}
	if err := c.begin(c.stage, "scale", p); err != nil {
		return err
	}
	b := proxy.Balancer{Binary: c.stage.Program("eru-lb"), Metrics: c.stage.Host() + ":12346"}
	lb, err := c.stage.Start("eru-lb-scale", b.HAProxy(p, c.haproxy, strings.Join(services, ",")))
	if err != nil {
		return err
	}
	c.lb = &balancer{Logged: lb, metrics: b.Metrics}
	c.onEnd(lb.End)
	return lb.Explain(stage.Within(ctx, func(ctx context.Context) error {
		return every(ctx, 100*time.Millisecond, func() (bool, error) {
			servers, err := c.haproxy.Servers(ctx, "")
			in := slices.DeleteFunc(servers, func(s proxy.Server) bool { return !s.Serving })
			return err == nil && len(in) == len(c.servers), nil
		})
	}))
}

// change turns servers one after the other, at a steady rate, and measures each.
func (c *crowd) change(ctx context.Context) error {
	var underWay sync.WaitGroup
	defer underWay.Wait()
	step := time.Second / time.Duration(c.changes)
	for due, end := kernel.Now(), kernel.Now()+c.scale; due < end; due += step {
		if err := kernel.Sleep(ctx, max(due-kernel.Now(), 0)); err != nil {
			return err
		}
		if s := c.pick(); s != nil {
			underWay.Go(func() { c.turn(ctx, s) })
		}
	}
	underWay.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil && len(c.lag) == 0 {
		return fmt.Errorf("changing servers: none was")
	}
	return c.err
}

// pick chooses a server that may turn: of no backend more than three may be
// unhealthy, or its last set would be kept.
func (c *crowd) pick() *server {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range 100 {
		i := rand.N(len(c.servers))
		s, out := c.servers[i], 0
		for _, other := range c.servers[i/perBackend*perBackend : (i/perBackend+1)*perBackend] {
			if !other.healthy || other.busy {
				out++
			}
		}
		if !s.busy && (!s.healthy || out < 3) {
			s.busy, s.healthy = true, !s.healthy
			return s
		}
	}
	return nil
}

// turn puts a server's status, and waits until HAProxy has taken it.
func (c *crowd) turn(ctx context.Context, s *server) {
	want, begun := s.healthy, kernel.Now()
	_, err := c.stage.Etcd.Client.Put(ctx, s.key, s.value(want))
	if err == nil {
		err = stage.Within(ctx, func(ctx context.Context) error {
			return every(ctx, pollEvery, func() (bool, error) {
				servers, err := c.haproxy.Servers(ctx, s.backend)
				in := slices.ContainsFunc(servers, func(other proxy.Server) bool { return other.Address == s.address && other.Admitted })
				return err == nil && in == want, nil // its socket may be busy
			})
		})
	}
	took := kernel.Now() - begun
	c.mu.Lock()
	defer c.mu.Unlock()
	s.busy = false
	if err != nil {
		c.err = fmt.Errorf("turning server %s of %s: %w", s.address, s.backend, err)
		return
	}
	c.lag = append(c.lag, report.Milliseconds(took))
}
