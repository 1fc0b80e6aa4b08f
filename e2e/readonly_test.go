package e2e

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// needed are the paths that docs/security.md lets through.
const needed = `(/v1\.[0-9]+)?/(_ping|events|containers/json|containers/[0-9A-Za-z][0-9A-Za-z_.-]*/json)$`

// TestReadOnlyDocker lets the agent do all that it can do with a real Docker, by a way that takes GET and HEAD alone.
func TestReadOnlyDocker(t *testing.T) {
	t.Parallel()
	n := r.Node(t, etcdtest.Start(t))
	socket := r.Socket(t)
	socket.Open()
	n.Flags = []string{"--docker.endpoint", socket.Endpoint()}
	first, second := "--network="+n.Network("first"), n.Network("second")
	a := n.Start().AwaitReady()

	web := n.Run("web", first, rig.HTTP, "--label=eru.health.interval=200ms")
	tcp := n.Run("tcp", first, "--label=eru.health.tcp.ports=80,8081")
	plain := n.Run("plain", first)
	broken := n.Run("broken", first, "--label=eru.health.http.port=eighty")
	meta := n.Run("meta", first, `--label=ERU_META={"HealthCheck":{"TCPPorts":["8081"],"HTTPPort":"80"}}`)
	host := n.Run("host", "--network=host", "--env=PORTS="+rig.FreePort(t), "--env=CONTROL=off")
	shared := n.Run("shared", "--network=container:"+web.ID, "--env=PORTS=90", "--env=CONTROL=off", "--label=eru.health.http.port=90")
	both := n.Create("both", first, rig.HTTP, "--label=eru.health.network="+second)
	n.Command(t, "network", "connect", second, both.ID)
	both.Docker("start")
	healthy := []*rig.Container{web, tcp, plain, meta, host, shared, both}
	for _, c := range healthy {
		c.Await("healthy")
	}
	broken.Await("invalid")

	out, errs, code := r.Exec(t, "probe", web.Name, "--docker.endpoint", socket.Endpoint())
	if code != 0 {
		t.Errorf("probe says %d, %s%s", code, out, errs)
	}
	status, errs, code := r.Exec(t, "status", "--etcd.endpoints", n.Endpoint(), "--etcd.prefix", n.Prefix)
	if code != 0 || strings.Count(status, "healthy") != len(healthy) {
		t.Errorf("status says %d, %s%s", code, status, errs)
	}
	web.Behave("500")
	web.Await("unhealthy")
	web.Behave("ok")
	meta.Docker("pause")
	meta.Await("paused")
	meta.Docker("unpause")
	n.Command(t, "rename", plain.ID, plain.Name+"_renamed")
	plain.AwaitStatus("the new name", func(s rig.Status) bool { return s.Name == plain.Name+"_renamed" })
	life := tcp.Await("healthy").Started
	tcp.Docker("restart", "--time=1")
	tcp.AwaitStatus("another life", func(s rig.Status) bool { return s.State == "healthy" && s.Started.After(life) })
	host.Docker("stop", "--time=1")
	host.Await("stopped")
	both.Docker("kill")
	both.Await("stopped")
	both.Docker("rm")
	both.AwaitGone()
	a.Signal(syscall.SIGHUP)
	a.Signal(syscall.SIGTERM)
	want(t, "exit code", a.Wait(), 0)
	n.Start().AwaitReady()
	late := n.Run("late", first, rig.HTTP)
	late.Await("healthy")

	if denied := socket.Denied(); len(denied) > 0 {
		t.Errorf("Docker was sent %q", denied)
	}
	document, err := os.ReadFile("../docs/security.md")
	if err != nil || !strings.Contains(string(document), "acl needed path_reg ^"+needed+"\n") {
		t.Errorf("docs/security.md shows another way, %v", err)
	}
	asked := regexp.MustCompile(`^(GET|HEAD) ` + needed)
	passed := socket.Passed()
	for _, line := range passed {
		if !asked.MatchString(line) {
			t.Errorf("Docker was asked %q", line)
		}
	}
	for _, end := range []string{"/events", "/containers/json", "/containers/" + web.ID + "/json", "/containers/" + late.ID + "/json"} {
		if !slices.ContainsFunc(passed, func(line string) bool { return strings.HasSuffix(line, end) }) {
			t.Errorf("%s was not asked for by this way; %d requests were", end, len(passed))
		}
	}
}
