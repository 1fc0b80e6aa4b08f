package silence

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/projecteru2/eru-agent/e2e/network"
	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

// fleet is some nodes around an etcd, each on a host of its own.
type fleet struct {
	*judge
	t     *testing.T
	row   *row
	ttl   time.Duration
	etcd  *etcdtest.Cluster
	far   []*network.Host // etcd's
	spare *network.Host   // without a node
	nodes []*node
}

// node is a host with an agent and containers.
type node struct {
	*rig.Node
	fleet      *fleet
	host       *network.Host
	crowd      *rig.Crowd // nil where containers are real
	containers []*container
	agent      *rig.Agent
}

// container is one of a node. It answers at addresses, of which others reach those that are not the bridge's.
type container struct {
	dockertest.Container
	addresses []string
	seen      string // the address at which it answers HTTP to other hosts; "" if there is none
}

// published is the port of each host at which its first container answers.
const published = 20080

// newFleet starts nodes whose agents are ready and whose containers are all healthy, on an etcd of some members.
func newFleet(t *testing.T, situation string, nodes, members int, ttl time.Duration) *fleet {
	t.Helper()
	on := fmt.Sprintf("%d nodes, TTL %s", nodes, ttl)
	if members > 1 {
		on += fmt.Sprintf(", %d members", members)
	}
	return newFleetOf(t, newRow(t, situation, on), nodes, members, ttl)
}

// newFleetOf is newFleet for a row that others share.
func newFleetOf(t *testing.T, row *row, nodes, members int, ttl time.Duration) *fleet {
	t.Helper()
	t.Parallel()
	w, err := network.New(nodes + members + 1)
	t.Cleanup(func() { must(t, w.Close()) })
	must(t, err)
	f := &fleet{t: t, row: row, ttl: ttl, far: w.Hosts[nodes : nodes+members], spare: w.Hosts[nodes+members]}
	f.etcd = etcdtest.StartClusterOn(t, r.Etcd(t, of(rig.OldEtcd, rig.NewEtcd)), f.far, 64<<20)
	for i, h := range w.Hosts[:nodes] {
		f.join(i, h)
	}
	for _, n := range f.nodes {
		n.start()
	}
	for _, n := range f.nodes {
		n.agent.AwaitReady()
	}
	f.settle(time.Now(), nil)
	return f
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// join makes a node on a host. Containers have addresses that the other hosts reach, and such as Docker's own bridge gives
// them: the same on every host.
func (f *fleet) join(i int, h *network.Host) {
	f.t.Helper()
	must(f.t, h.Own(fmt.Sprintf("10.%d.0.0/16", i)))
	must(f.t, h.Keep("172.17.0.0/16"))
	n := &node{fleet: f, host: h}
	n.crowd = rig.NewCrowdAt(f.t, dockertest.Config{}, n.listen(":80"))
	n.crowd.Answer(n.listen(fmt.Sprintf("%s:%d", h.Address, published)))
	if i == 0 {
		n.Node = r.CrowdNode(f.t, n.crowd, f.etcd.Endpoints(), clientv3.Config{})
		f.judge = newJudge(f.t, f.row, n.Witness)
	} else {
		n.Node = f.nodes[0].Beside(n.crowd)
	}
	n.Flags = f.flags(h)
	f.nodes = append(f.nodes, n)
	routed := func(last int) map[string]string {
		return map[string]string{"routed": fmt.Sprintf("10.%d.0.%d", i, last)}
	}
	http := map[string]string{"eru.health.http.port": "80"}
	n.join("published", http, map[string]string{"bridge": "172.17.0.2"}, dockertest.Port{Private: 80, Public: published, HostIP: "0.0.0.0"})
	n.join("routed", http, routed(2))
	n.join("tcp", map[string]string{"eru.health.tcp.ports": "80"}, routed(3))
	n.join("hidden", http, map[string]string{"bridge": "172.17.0.3"})
	n.join("unchecked", map[string]string{"ERU": "1"}, map[string]string{"bridge": "172.17.0.4"})
	n.containers[0].seen, n.containers[1].seen = h.Address, n.containers[1].addresses[0]
	n.containers[0].addresses = append(n.containers[0].addresses, h.Address)
}

// flags are those of an agent on a host.
func (f *fleet) flags(h *network.Host) []string {
	return []string{"--node_ip", h.Address, "--api.addr", h.Address + ":0", "--etcd.session_ttl", f.ttl.String(), "--etcd.timeout", "1s", "--selfmon.grace", "2s"}
}

// listen opens a port of the host.
func (n *node) listen(address string) net.Listener {
	n.fleet.t.Helper()
	l, err := n.host.Listen(address)
	must(n.fleet.t, err)
	return l
}

// join runs a container on the node.
func (n *node) join(app string, labels, networks map[string]string, ports ...dockertest.Port) {
	sum := sha256.Sum256([]byte(n.host.Address + app))
	all := map[string]string{"eru.app": app, "eru.entrypoint": "web"}
	for name, value := range labels {
		all[name] = value
	}
	c := &container{Container: n.crowd.Run(dockertest.Spec{ID: hex.EncodeToString(sum[:]), Name: app, Labels: all, Networks: networks, Ports: ports})}
	for _, address := range networks {
		c.addresses = append(c.addresses, address)
	}
	n.containers = append(n.containers, c)
	n.fleet.begins(c.ID, app+" of "+n.Name, func(since time.Time) bool { return n.late(c, since) })
}

// late says whether this process, which stands for a container, let somebody wait who asked it.
func (n *node) late(c *container, since time.Time) bool {
	for _, address := range c.addresses {
		port := "80"
		if address == n.host.Address {
			port = strconv.Itoa(published)
		}
		if n.crowd.TardyBy(n.host.Dial, net.JoinHostPort(address, port), since) {
			return true
		}
	}
	return false
}

// start starts the node's agent on its host.
func (n *node) start() {
	n.fleet.t.Helper()
	n.agent = n.StartAs("", func(c *exec.Cmd) {
		there := n.host.Command(c.Path, c.Args[1:]...)
		c.Path, c.Args = there.Path, there.Args
	})
}

// behave says how a container answers, wherever it is asked.
func (n *node) behave(c *container, mode string) {
	for _, address := range c.addresses {
		n.crowd.Behave(address, mode)
	}
}

// off is the sudden end of hosts, all at once: no cable, no process.
func off(nodes ...*node) time.Time {
	t := nodes[0].fleet.t
	t.Helper()
	at := time.Now()
	hosts := make([]*network.Host, len(nodes))
	for i, n := range nodes {
		hosts[i] = n.host
	}
	must(t, network.Off(hosts...))
	for _, n := range nodes {
		n.agent.Kill()
		n.crowd.Quit()
	}
	return at
}

// on is the host as it was, and its containers; the agent is not started.
func (n *node) on() {
	n.fleet.t.Helper()
	n.crowd.Answer(n.listen(":80"))
	n.crowd.Answer(n.listen(fmt.Sprintf("%s:%d", n.host.Address, published)))
	must(n.fleet.t, n.host.On())
}

// stop is SIGTERM to the agent, and its end.
func (n *node) stop() {
	n.fleet.t.Helper()
	n.agent.Signal(syscall.SIGTERM)
	if code := n.agent.Wait(); code != 0 {
		n.fleet.t.Errorf("the agent ended with %d", code)
	}
}

// awaitSilent returns once the node's session has ended, and says when that was seen.
func (n *node) awaitSilent() time.Time {
	n.fleet.t.Helper()
	key := "status:node/" + n.Name
	n.Await(n.fleet.t, n.Name+" to be silent", func() bool {
		e, ok := n.Last(key)
		return ok && e.Deleted()
	}, func() string { return "its record" })
	e, _ := n.Last(key)
	return e.At
}

// awaitSession returns once the node's record stands.
func (n *node) awaitSession() {
	n.fleet.t.Helper()
	n.Await(n.fleet.t, n.Name+" to have a session", func() bool {
		e, ok := n.Last("status:node/" + n.Name)
		return ok && !e.Deleted()
	}, func() string { return "no record" })
}

// awaitAsked returns once every container that other hosts reach was asked by one of them, a few times. The node's own
// agent must not live.
func (n *node) awaitAsked(times int) {
	n.fleet.t.Helper()
	for _, c := range n.containers {
		if c.seen == "" {
			continue
		}
		n.crowd.Pulse(c.seen)
		count := 0
		rig.Await(n.fleet.t, c.Name+" to be asked from elsewhere", func() error {
			more, _ := n.crowd.Pulse(c.seen)
			if count += more; count < times {
				return fmt.Errorf("it was %d times", count)
			}
			return nil
		})
	}
}

// monitor is the node whose agent is elected, once there is one among some.
func (f *fleet) monitor(among ...*node) *node {
	f.t.Helper()
	var elected *node
	f.seen.Await(f.t, "a monitor", func() bool {
		e, ok := f.seen.Last("selfmon/active")
		elected = nil
		for _, n := range among {
			if ok && !e.Deleted() && strings.Contains(string(e.Value), `"`+n.Name+`"`) {
				elected = n
			}
		}
		return elected != nil
	}, func() string {
		e, _ := f.seen.Last("selfmon/active")
		return fmt.Sprintf("%q", e.Value)
	})
	return elected
}

// last is the newest status of a container.
func (f *fleet) last(n *node, c *container) rig.Status {
	e, _ := f.seen.Last(fmt.Sprintf("status/%s/web/%s/%s", c.Name, n.Name, c.ID))
	return e.Status(f.t)
}

// but are the nodes without some.
func (f *fleet) but(less ...*node) []*node {
	var all []*node
	for _, n := range f.nodes {
		keep := true
		for _, one := range less {
			keep = keep && n != one
		}
		if keep {
			all = append(all, n)
		}
	}
	return all
}

// wait lets a time pass in which nothing shall happen.
func wait(d time.Duration) { <-time.After(d) }
