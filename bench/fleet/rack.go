package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/projecteru2/eru-agent/bench/kernel"
	"github.com/projecteru2/eru-agent/bench/stage"
	"github.com/projecteru2/eru-agent/cmd"
	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

// spec is what a rack is told.
type spec struct {
	First      int // number of its first node
	Nodes      int
	Containers int // of each
	Host       int // number of its host
	Port       uint16
	Etcd       string
	Prefix     string
	TTL        time.Duration
	Interval   time.Duration
	AtOnce     int // agents that start together; the next one waits until one of them is ready
}

// Of a rack's 65,536 addresses the lower ones are its containers', by the order
// of nodes; the others are the nodes'.
const mostContainers = 200 << 8

func (s spec) address(n int) string { return fmt.Sprintf("10.%d.%d.%d", s.Host, n>>8, n&255) }

// subnet is all addresses of the rack.
func (s spec) subnet() string { return s.address(0) + "/16" }

// nodeAddress is where other hosts reach a node of the rack.
func (s spec) nodeAddress(i int) string { return s.address(mostContainers + i) }

// api is a port of the rack's own host.
func (s spec) api(i int) string { return fmt.Sprintf("127.0.0.1:%d", 10000+i) }

func nodeName(n int) string { return fmt.Sprintf("node-%04d", n) }

// engine is the Docker of a rack's i-th node.
func (s spec) engine(t dockertest.T, i int) *dockertest.Server {
	d := dockertest.New(t, dockertest.Config{})
	for c := range s.Containers {
		n := (s.First+i)*s.Containers + c
		d.Run(dockertest.Spec{
			ID: stage.ContainerID(n), Name: fmt.Sprintf("bench-%d", n), Networks: map[string]string{"routed": s.address(i*s.Containers + c)},
			Labels: map[string]string{
				"eru.app": fmt.Sprintf("service-%d", n/10), "eru.entrypoint": "web", "eru.health.http.port": strconv.Itoa(int(s.Port)),
			},
		})
	}
	return d
}

// command is that of the i-th node's agent.
func (s spec) command(i int, docker string) []string {
	return []string{
		"run", "--node", nodeName(s.First + i), "--node_ip", s.nodeAddress(i), "--docker.endpoint", docker,
		"--etcd.endpoints", s.Etcd, "--etcd.prefix", s.Prefix, "--etcd.session_ttl", s.TTL.String(),
		"--healthcheck.interval", s.Interval.String(), "--api.addr", s.api(i), "--log.level", "error", "--log.format", "json",
	}
}

// serveRack runs the agents of a rack until its input ends.
func serveRack(s spec) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	t := &tenant{}
	defer t.leave()
	ended := make(chan error, s.Nodes)
	var agents sync.WaitGroup
	slots := make(chan struct{}, s.AtOnce)
	agents.Go(func() {
		for i := range s.Nodes {
			slots <- struct{}{}
			agents.Go(func() {
				if code := cmd.Main(ctx, s.command(i, s.engine(t, i).Endpoint()), io.Discard, os.Stderr); code != 0 {
					ended <- fmt.Errorf("the agent of %s has ended with %d", nodeName(s.First+i), code)
				}
			})
			agents.Go(func() {
				s.awaitReady(ctx, i)
				<-slots
			})
		}
	})
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	var err error
	select {
	case err = <-ended:
	case <-asked:
	}
	cancel()
	agents.Wait()
	return err
}

// awaitReady returns once the i-th node's agent says that it is ready.
func (s spec) awaitReady(ctx context.Context, i int) {
	for kernel.Sleep(ctx, 100*time.Millisecond) == nil {
		if _, err := stage.Get(ctx, "http://"+s.api(i)+"/readyz"); err == nil {
			return
		}
	}
}

// tenant is what a fake Docker asks of who started it.
type tenant struct {
	mu   sync.Mutex
	ends []func()
}

// Helper implements dockertest.T.
func (t *tenant) Helper() {}

// Cleanup implements dockertest.T.
func (t *tenant) Cleanup(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ends = append(t.ends, f)
}

// Errorf implements dockertest.T.
func (t *tenant) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// Fatalf implements dockertest.T.
func (t *tenant) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func (t *tenant) leave() {
	for i := len(t.ends) - 1; i >= 0; i-- {
		t.ends[i]()
	}
}
