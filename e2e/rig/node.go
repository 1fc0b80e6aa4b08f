package rig

import (
	"context"
	"slices"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// Node is a node of its own as etcd sees it: a name, a prefix, and the containers that bear its label.
type Node struct {
	*Rig
	*Witness

	Name   string
	Prefix string
	// Flags are given to every agent of this node, after those that make it this node's.
	Flags []string
	// Crowd is what its containers are, nil if they are Docker's.
	Crowd *Crowd

	t             testing.TB
	etcd          string
	own           []string // flags that choose Docker and the containers
	ids, networks []string // to remove
}

// Node makes a node whose statuses go to etcd; what is started on it ends with the test.
func (r *Rig) Node(t testing.TB, etcd *etcdtest.Server) *Node {
	t.Helper()
	return r.NodeAt(t, etcd.Endpoint(), clientv3.Config{})
}

// NodeAt makes a node whose agents reach etcd at endpoint, or at several with commas between; the witness goes there as cfg
// says, to the same if it names none.
func (r *Rig) NodeAt(t testing.TB, endpoint string, cfg clientv3.Config) *Node {
	t.Helper()
	if _, err := r.image(); err != nil {
		t.Fatal(err) // at once, not after the agent has waited for Docker
	}
	n := r.node(t, endpoint, "/e2e", cfg)
	n.own = []string{"--docker.endpoint", r.docker, "--docker.select", n.Label()}
	t.Cleanup(n.clear)
	return n
}

// CrowdNode makes a node whose containers are the crowd; the rest is as with NodeAt.
func (r *Rig) CrowdNode(t testing.TB, crowd *Crowd, endpoint string, cfg clientv3.Config) *Node {
	t.Helper()
	return r.CrowdNodeUnder(t, crowd, endpoint, "/e2e", cfg)
}

// CrowdNodeUnder is CrowdNode with all keys under a prefix that the test chooses, so that one etcd serves many worlds.
func (r *Rig) CrowdNodeUnder(t testing.TB, crowd *Crowd, endpoint, prefix string, cfg clientv3.Config) *Node {
	t.Helper()
	n := r.node(t, endpoint, prefix, cfg)
	n.own, n.Crowd = []string{"--docker.endpoint", crowd.Endpoint()}, crowd
	return n
}

// Beside makes another node of the same etcd and prefix, which the same witness sees; its containers are the crowd.
func (n *Node) Beside(crowd *Crowd) *Node {
	return &Node{
		Rig: n.Rig, Witness: n.Witness, Name: n.Rig.name("node"), Prefix: n.Prefix, t: n.t, etcd: n.etcd,
		own: []string{"--docker.endpoint", crowd.Endpoint()}, Crowd: crowd,
	}
}

func (r *Rig) node(t testing.TB, endpoint, prefix string, cfg clientv3.Config) *Node {
	t.Helper()
	if len(cfg.Endpoints) == 0 {
		cfg.Endpoints = strings.Split(endpoint, ",")
	}
	cfg.Logger = zap.NewNop()
	n := &Node{Rig: r, Name: r.name("node"), Prefix: prefix, t: t, etcd: endpoint}
	n.Witness = watch(t, cfg, n.Prefix)
	return n
}

// In is the node in a subtest: what is started goes with that, and so do failures.
func (n *Node) In(t testing.TB) *Node {
	in := *n
	in.t, in.ids, in.networks = t, nil, nil
	t.Cleanup(in.clear)
	return &in
}

// Label is what only this node's containers have, as key=value.
func (n *Node) Label() string { return "eru.e2e.node=" + n.Name }

// Endpoint is where the node's agents reach etcd.
func (n *Node) Endpoint() string { return n.etcd }

// flags make an agent this node's.
func (n *Node) flags() []string {
	return slices.Concat([]string{
		"--node", n.Name, "--node_ip", NodeIP, "--etcd.endpoints", n.etcd, "--etcd.prefix", n.Prefix,
		"--api.addr", "127.0.0.1:0", "--log.format", "json",
		"--healthcheck.interval", "200ms", "--healthcheck.retry_interval", "200ms",
	}, n.own, n.Flags)
}

// NodeIP is where the node says that other hosts reach it.
const NodeIP = "192.0.2.77"

func (n *Node) clear() {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	if len(n.ids) > 0 {
		// A test may have removed some, which is an error to the command and none to us.
		_, _ = n.command(ctx, append([]string{"rm", "--force", "--volumes"}, n.ids...)...)
	}
	for _, network := range n.networks {
		if err := n.removeNetwork(ctx, network); err != nil {
			n.t.Errorf("clearing away: %v", err)
		}
	}
}

// HTTP is the label of a container that is probed over HTTP at its port 80.
const HTTP = "--label=eru.health.http.port=80"

// Run starts a container of app, with flags for docker run. The flags of the image's program are in e2e/web.
func (n *Node) Run(app string, flags ...string) *Container {
	n.t.Helper()
	return n.run("run", n.name(app), append([]string{"--label=eru.app=" + app, "--label=eru.entrypoint=web"}, flags...))
}

// RunNamed starts a container that nothing but its name and flags identify.
func (n *Node) RunNamed(name string, flags ...string) *Container {
	n.t.Helper()
	return n.run("run", name, flags)
}

// Create is Run without the start.
func (n *Node) Create(app string, flags ...string) *Container {
	n.t.Helper()
	return n.run("create", n.name(app), append([]string{"--label=eru.app=" + app, "--label=eru.entrypoint=web"}, flags...))
}

func (n *Node) run(verb, name string, flags []string) *Container {
	n.t.Helper()
	image, err := n.image()
	if err != nil {
		n.t.Fatal(err)
	}
	args := []string{verb}
	if verb == "run" {
		args = append(args, "--detach")
	}
	args = append(args, "--name", name, "--label", n.Label(), "--label", n.Mark())
	id := n.Command(n.t, append(append(args, flags...), image)...)
	n.ids = append(n.ids, id)
	return &Container{ID: id, Name: name, node: n, t: n.t}
}
