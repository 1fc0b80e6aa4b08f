package stage

import (
	"context"
	"fmt"
	"os/exec"
	"syscall"
	"time"

	"github.com/projecteru2/eru-agent/bench/kernel"
)

// Node is a node of its own as etcd sees it, with a witness of what is written
// there.
type Node struct {
	*Witness
	Name   string
	Prefix string // of etcd

	stage  *Stage
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
	n.Prefix = "/bench/" + n.Name
	var err error
	n.Witness, err = s.Witness(ctx, n.Prefix+"/status/")
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
	*Logged
	Begun time.Duration // just before it was started

	api string
}

// Start starts the agent; it may not be ready yet.
func (n *Node) Start() (*Agent, error) { return n.start(nil) }

// StartBlind starts an agent that has no pidfds: in a PID namespace of its own
// Docker's numbers name nobody, so that Docker's word is all it has for a death.
func (n *Node) StartBlind() (*Agent, error) {
	return n.start(&syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID})
}

func (n *Node) start(attributes *syscall.SysProcAttr) (*Agent, error) {
	a := &Agent{api: n.stage.Host() + ":12345"}
	c := exec.Command(n.stage.Program("eru-agent"), append([]string{"run", "--node", n.Name, "--node_ip", "192.0.2.77",
		"--etcd.endpoints", n.stage.Etcd.Endpoint, "--etcd.prefix", n.Prefix, "--api.addr", a.api, "--log.format", "json",
		"--docker.endpoint", n.docker}, n.flags...)...)
	c.SysProcAttr = attributes
	a.Begun = kernel.Now()
	var err error
	a.Logged, err = n.stage.Start(n.Name, c)
	return a, err
}

// Probes are how many it has made, and how many of them passed.
func (a *Agent) Probes(ctx context.Context) (int64, int64, error) {
	text, err := Get(ctx, "http://"+a.api+"/metrics")
	if err != nil {
		return 0, 0, a.Explain(fmt.Errorf("reading the agent's metrics: %w", err))
	}
	return int64(sum(text, "eru_agent_probes_total")), int64(sum(text, "eru_agent_probes_total", `result="pass"`)), nil
}

// AwaitReady returns once the agent says that it is ready.
func (a *Agent) AwaitReady(ctx context.Context) error {
	return a.Explain(Until(ctx, "the agent to be ready", func() bool {
		_, err := Get(ctx, "http://"+a.api+"/readyz")
		return err == nil
	}))
}
