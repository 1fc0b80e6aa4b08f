package e2e

import (
	"fmt"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

// demand is what an agent has asked of others.
type demand struct {
	Inspects, Lists, Streams int // of Docker
	Txns, Ranges, Puts       int // of etcd: the first two are calls, the last keys written
}

func (d demand) minus(b demand) demand {
	return demand{d.Inspects - b.Inspects, d.Lists - b.Lists, d.Streams - b.Streams, d.Txns - b.Txns, d.Ranges - b.Ranges, d.Puts - b.Puts}
}

// TestDemand counts what the agent asks of Docker and etcd, step by step through a container's life. The numbers do not
// depend on the machine: a change that makes one larger says why. What a monitor asks is not among them, because it comes
// for as long as it is the elected one: bench/fleet counts it.
func TestDemand(t *testing.T) {
	etcd := etcdtest.StartProcess(t)
	crowd := rig.NewCrowd(t, dockertest.Config{})
	n := r.CrowdNode(t, crowd, etcd.Endpoint(), clientv3.Config{})
	n.Flags = []string{"--healthcheck.interval", "100ms"}
	otherMonitor(t, n)

	var agent *rig.Agent
	var web dockertest.Container
	state := func(c dockertest.Container, want string) {
		t.Helper()
		key := "status/shop/web/" + n.Name + "/" + c.ID
		n.Await(t, want, func() bool {
			e, ok := n.Last(key)
			if !ok || e.Deleted() {
				return ok && want == "gone"
			}
			s := e.Status(t)
			return strings.TrimSuffix(s.State+"/"+s.Reason, "/") == want
		}, func() string { e, _ := n.Last(key); return string(e.Value) })
	}
	probed := func(times int64) {
		t.Helper()
		until := crowd.Probed() + times
		rig.Await(t, "probes", func() error {
			if now := crowd.Probed(); now < until {
				return fmt.Errorf("%d of %d", now, until)
			}
			return nil
		})
	}
	written := demand{Txns: 1, Puts: 2} // the status and the owner's record
	for _, step := range []struct {
		what string
		do   func()
		want demand
	}{
		{"the first start on an empty node", func() { agent = n.Start().AwaitReady() }, demand{Lists: 1, Streams: 1, Txns: 6, Ranges: 2, Puts: 3}},
		{"a container starts and fails its first probe", func() {
			crowd.Behave("127.17.0.2", "silent") // so that it is starting for a while before it has failed
			labels := crowd.Labels("shop")
			labels["eru.health.timeout"] = "300ms"
			web = crowd.Run(dockertest.Spec{Labels: labels})
			state(web, "starting/timeout")
		}, demand{Inspects: 1, Txns: 2, Puts: 4}},
		{"it passes", func() { crowd.Behave("127.17.0.2", "200"); state(web, "healthy") }, written},
		{"it passes 30 times more", func() { probed(30) }, demand{}},
		{"it fails", func() { crowd.Behave("127.17.0.2", "500"); state(web, "unhealthy/http_code") }, written},
		{"it fails 5 times more", func() { probed(5) }, demand{}},
		{"it passes again", func() { crowd.Behave("127.17.0.2", "200"); state(web, "healthy") }, written},
		{"it is paused", func() { crowd.Pause(web.ID); state(web, "paused/paused") }, demand{Inspects: 1, Txns: 1, Puts: 2}},
		{"it goes on", func() { crowd.Unpause(web.ID); state(web, "healthy") }, demand{Inspects: 1, Txns: 1, Puts: 2}},
		{"an operator drains it", func() { n.Put("drain/"+n.Name+"/"+web.ID, `{"by":"ops"}`); state(web, "draining/drain") }, demand{Txns: 1, Puts: 3}},
		{"it passes and fails while it is drained", func() { probed(5); crowd.Behave("127.17.0.2", "500"); probed(5) }, demand{}},
		{"the drain is taken back", func() {
			if _, err := n.Client().Delete(t.Context(), n.Prefix+"/drain/"+n.Name+"/"+web.ID); err != nil {
				t.Fatal(err)
			}
			state(web, "unhealthy/http_code")
		}, written},
		{"it passes once more", func() { crowd.Behave("127.17.0.2", "200"); state(web, "healthy") }, written},
		{"the agent is killed and starts anew", func() {
			crowd.ForgetEvents()
			agent.Kill()
			agent = n.Start().AwaitReady()
		}, demand{Inspects: 1, Lists: 1, Streams: 1, Txns: 6, Ranges: 2, Puts: 3}}, // ranges: the node's keys and its drains; one transaction stands for election
		{"it is asked to stop", func() { crowd.BeginStop(web.ID); state(web, "draining/stop_signal") }, written},
		{"it ends", func() { crowd.Die(web.ID, 0); state(web, "stopped/exited") }, written},
		{"it is removed", func() { crowd.Remove(web.ID); state(web, "gone") }, demand{Txns: 1, Puts: 1}},
	} {
		before := demandOf(t, crowd, etcd)
		step.do()
		rig.Await(t, step.what, func() error { // what is asked for aside may come a moment later
			if got := demandOf(t, crowd, etcd).minus(before); got != step.want {
				return fmt.Errorf("%+v, want %+v", got, step.want)
			}
			return nil
		})
	}
}

// otherMonitor lets another node be the elected one.
func otherMonitor(t *testing.T, n *rig.Node) {
	t.Helper()
	lease, err := n.Client().Grant(t.Context(), 600)
	if err == nil {
		_, err = n.Client().Put(t.Context(), n.Prefix+"/selfmon/active", `{"node":"other"}`, clientv3.WithLease(lease.ID))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func demandOf(t *testing.T, crowd *rig.Crowd, etcd *etcdtest.Server) demand {
	t.Helper()
	counts := etcd.Metrics()
	return demand{
		Inspects: crowd.Requests(dockertest.Inspect), Lists: crowd.Requests(dockertest.List), Streams: crowd.Requests(dockertest.Events),
		Txns: counts.Calls("started", "Txn"), Ranges: counts.Calls("started", "Range"), Puts: counts.Puts(),
	}
}
