package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// TestEtcdAwayAtStart starts an agent before its etcd.
func TestEtcdAwayAtStart(t *testing.T) {
	t.Parallel()
	eachEtcd(t, func(t *testing.T, start func(testing.TB, ...etcdtest.Option) *etcdtest.Server) {
		etcd := start(t)
		n := r.Node(t, etcd)
		etcd.Stop()
		a := n.Start()
		c := n.Run("shop", rig.HTTP)
		a.AwaitKnows(c, "healthy") // it probes meanwhile
		a.AwaitUnready("etcd: ")
		a.AwaitLog("etcd does not take writes")
		if code, _, err := a.Get("/healthz"); code != 200 {
			t.Errorf("/healthz says %d, %v", code, err)
		}
		etcd.Restart()
		a.AwaitReady()
		c.Await("healthy")
		want(t, "states", strings.Join(c.States(), " "), "healthy") // newest only
	})
}

// TestEtcdAwayForAWhile lets statuses change while etcd cannot be reached.
func TestEtcdAwayForAWhile(t *testing.T) {
	t.Parallel()
	eachEtcd(t, func(t *testing.T, start func(testing.TB, ...etcdtest.Option) *etcdtest.Server) {
		etcd := start(t)
		n := r.Node(t, etcd)
		a := n.Start().AwaitReady()
		steady, broken, back, doomed := n.Run("steady", rig.HTTP), n.Run("broken", rig.HTTP), n.Run("back", rig.HTTP), n.Run("doomed", rig.HTTP)
		for _, c := range []*rig.Container{steady, broken, back, doomed} {
			c.Await("healthy")
		}
		since := n.Catch()
		etcd.Stop()
		for _, step := range []struct {
			c     *rig.Container
			mode  string
			state string
		}{
			{broken, "500", "unhealthy"}, {broken, "ok", "healthy"}, {broken, "silent", "unhealthy"},
			{back, "500", "unhealthy"}, {back, "ok", "healthy"},
		} {
			step.c.Behave(step.mode)
			a.AwaitKnows(step.c, step.state)
		}
		doomed.Docker("kill")
		a.AwaitKnows(doomed, "stopped")
		late := n.Run("late", rig.HTTP)
		a.AwaitKnows(late, "healthy")
		etcd.Restart()

		want(t, "reason", broken.Await("unhealthy").Reason, "timeout")
		doomed.Await("stopped")
		late.Await("healthy")
		a.AwaitReady()
		n.Catch()
		for c, most := range map[*rig.Container]int{steady: 0, broken: 1, back: 1, doomed: 1, late: 1} {
			news := slices.DeleteFunc(c.Events(), func(e rig.Event) bool { return e.Revision <= since })
			if len(news) > most {
				t.Errorf("%s was written %d times, states %v", c.Name, len(news), c.States())
			}
		}
		want(t, "steady", strings.Join(steady.Course(), " "), "healthy")
		want(t, "back", strings.Join(back.Course(), " "), "healthy")
		want(t, "late", strings.Join(late.States(), " "), "healthy")
	})
}

// TestDockerAway starts an agent before its Docker, whose socket then takes nothing but GET and HEAD, and goes away again.
func TestDockerAway(t *testing.T) {
	t.Parallel()
	n := r.Node(t, etcdtest.Start(t))
	socket := r.Socket(t)
	c := n.Run("shop", rig.HTTP)
	a := n.Start("--docker.endpoint", socket.Endpoint())
	a.AwaitUnready("Docker: ")
	a.AwaitLog("Docker's events do not flow")
	socket.Open()
	a.AwaitReady()
	c.Await("healthy")

	socket.Close()
	a.AwaitUnready("Docker: ")
	c.Behave("500") // probing goes on
	c.Await("unhealthy")
	c.Behave("ok")
	c.Await("healthy")
	doomed := n.Run("unseen", rig.HTTP)
	c.Behave("exit=3") // death needs no Docker
	want(t, "reason", c.Await("stopped").Reason, "exited")
	socket.Open()
	a.AwaitReady()
	doomed.Await("healthy")
	c.AwaitStatus("exit code", func(s rig.Status) bool { return s.Detail == "exit code 3" })

	if denied := socket.Denied(); len(denied) > 0 {
		t.Errorf("Docker was sent %v", denied)
	}
	if passed := strings.Join(socket.Passed(), "\n"); !strings.Contains(passed, "/events") || !strings.Contains(passed, "/containers/json") {
		t.Errorf("the way to Docker was not this one: %s", passed)
	}
}
