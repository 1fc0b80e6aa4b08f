package silence

import (
	"encoding/json"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/projecteru2/eru-agent/e2e/network"
	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

// TestAskedFromInsideAlone: the agent dies, then the host. Its containers are Docker's, and only their own host can ask
// them: for the monitor their last word stands while the host answers, and not longer.
func TestAskedFromInsideAlone(t *testing.T) {
	ttl := of(2*time.Second, 10*time.Second)
	row := newRow(t, "agent dead, then host, containers asked from inside", "4 nodes, TTL "+ttl.String())
	f := newFleetOf(t, row, 3, 1, ttl)
	n := f.real()
	n.contain("none", "--network=none")
	sick := n.contain("internal", "--network="+n.Network("internal", "--internal"))
	n.start()
	n.agent.AwaitReady()
	f.settle(time.Now(), nil)
	f.is(n.containers[1:], "unhealthy", "healthy")
	sick.Behave("code=503")
	f.settle(time.Now(), nil)

	for range of(1, 3) {
		n.agent.Kill()
		n.awaitJudged(status.HostAnswers)
		wait(f.lostWithin())
		f.is(n.containers, "lost", "healthy", "unhealthy")
		must(t, network.Off(n.host))
		f.settle(time.Now(), nil)
		n.awaitJudged(status.HostSilent)
		f.row.happened(1, "2 of 2 lost, with the host")

		f.is(n.containers[:1], "healthy", "lost")
		f.is(n.containers[1:], "unhealthy", "lost")
		must(t, n.host.On())
		n.start()
		n.awaitSession()
		f.settle(time.Now(), nil)
	}
}

// real makes a node of the spare host, whose containers are Docker's and are asked from inside.
func (f *fleet) real() *node {
	f.t.Helper()
	n := &node{fleet: f, host: f.spare, Node: r.NodeAt(f.t, f.etcd.Endpoints(), clientv3.Config{})}
	n.Flags = append(f.flags(n.host), "--healthcheck.netns=true")
	return n
}

// contain runs a container on the node. The agent must not have started.
func (n *node) contain(app string, flags ...string) *rig.Container {
	n.fleet.t.Helper()
	c := n.Run(app, append(flags, rig.HTTP, "--label=eru.health.via=netns")...)
	n.containers = append(n.containers, &container{Container: dockertest.Container{ID: c.ID, Name: app}})
	n.fleet.begins(c.ID, app+" of "+n.Name, func(time.Time) bool { return false })
	return c
}

// awaitJudged returns once the monitor has written what it makes of the node's host.
func (n *node) awaitJudged(host string) {
	n.fleet.t.Helper()
	var note status.Silence
	n.Await(n.fleet.t, n.Name+"'s host to be judged", func() bool {
		e, ok := n.Last("selfmon/silent/" + n.Name)
		note = status.Silence{}
		return ok && json.Unmarshal(e.Value, &note) == nil && !note.Judged.IsZero() && note.Host == host
	}, func() string { return note.Host })
}
