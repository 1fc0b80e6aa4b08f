package stage

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/projecteru2/eru-agent/bench/kernel"
)

// Node is a node of its own as etcd sees it, with a witness of what is written
// there.
type Node struct {
	*Witness
	Name string

	stage  *Stage
	prefix string
	docker string
	flags  []string
}

// Node makes a node with the crowd's containers; flags are given to its agents.
func (s *Stage) Node(ctx context.Context, c *Crowd, flags ...string) (*Node, error) {
	return s.NodeAt(ctx, c.Endpoint(), flags...)
}

// NodeAt makes a node with the containers of the Docker at an address.
func (s *Stage) NodeAt(ctx context.Context, docker string, flags ...string) (*Node, error) {
	n := &Node{Name: s.unique("node"), stage: s, docker: docker, flags: flags}
	n.prefix = "/bench/" + n.Name
	var err error
	n.Witness, err = s.Witness(ctx, n.prefix+"/status/")
	return n, err
}

// Patience bounds every wait for something that should happen at once.
const Patience = 2 * time.Minute

// Within does something within Patience.
func Within(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	return do(ctx)
}

// Agent is the real agent on a node.
type Agent struct {
	*Process
	Begun time.Duration // just before it was started

	api, log string
}

// Start starts the agent; it may not be ready yet.
func (n *Node) Start() (*Agent, error) {
	a := &Agent{api: n.stage.ownHost() + ":12345", log: filepath.Join(n.stage.dir, n.Name+".log")}
	log, err := n.stage.log(n.Name)
	if err != nil {
		return nil, fmt.Errorf("opening the agent's log: %w", err)
	}
	defer func() { _ = log.Close() }()
	c := exec.Command(n.stage.program("eru-agent"), append([]string{"run", "--node", n.Name, "--node_ip", "192.0.2.77",
		"--etcd.endpoints", n.stage.Etcd.Endpoint, "--etcd.prefix", n.prefix, "--api.addr", a.api, "--log.format", "json",
		"--docker.endpoint", n.docker}, n.flags...)...)
	c.Stderr = log
	a.Process, a.Begun = &Process{cmd: c}, kernel.Now()
	return a, n.stage.nursery.start(c)
}

// Probes are how many it has made, and how many of them passed.
func (a *Agent) Probes(ctx context.Context) (int64, int64, error) {
	text, err := Get(ctx, "http://"+a.api+"/metrics")
	if err != nil {
		return 0, 0, fmt.Errorf("reading the agent's metrics: %w: %s", err, tail(a.log))
	}
	return int64(sum(text, "eru_agent_probes_total")), int64(sum(text, "eru_agent_probes_total", `result="pass"`)), nil
}

// AwaitReady returns once the agent says that it is ready.
func (a *Agent) AwaitReady(ctx context.Context) error {
	err := Until(ctx, "the agent to be ready", func() bool {
		_, err := Get(ctx, "http://"+a.api+"/readyz")
		return err == nil
	})
	if err != nil {
		err = fmt.Errorf("%w: %s", err, tail(a.log))
	}
	return err
}

// Stop sends a signal that ends it, and waits for the end.
func (a *Agent) Stop(sig syscall.Signal) error {
	if err := a.Signal(sig); err != nil {
		return fmt.Errorf("stopping the agent: %w", err)
	}
	_ = a.cmd.Wait() // it may have been killed
	return nil
}
