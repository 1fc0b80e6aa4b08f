package e2e

import (
	"cmp"
	"slices"
	"strings"
	"testing"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// TestLabels starts one container for each way to ask for a check and to say what a container is.
func TestLabels(t *testing.T) {
	t.Parallel()
	node := r.Node(t, etcdtest.Start(t))
	node.Start().AwaitReady()
	name := node.Name
	const (
		healthy = "healthy"
		invalid = "invalid"
	)
	for _, test := range []struct {
		what   string
		flags  []string
		name   string // of the container; one is made up if empty
		state  string
		key    string // app/entrypoint
		detail string // is in it
	}{
		{what: "no check", state: healthy},
		{what: "TCP", flags: []string{"--label=eru.health.tcp.ports=80,8081"}, state: healthy},
		{what: "TCP, one of two closed", flags: []string{"--label=eru.health.tcp.ports=80,81"}, state: "starting", detail: "tcp :81: connecting: connection refused"},
		{what: "HTTPS", flags: []string{rig.HTTP, "--env=TLS=1", "--label=eru.health.http.scheme=https", "--label=eru.health.http.tls.skip_verify=true"}, state: healthy},
		{what: "HTTPS, certificate not trusted", flags: []string{rig.HTTP, "--env=TLS=1", "--label=eru.health.http.scheme=https"}, state: "starting", detail: "TLS handshake: "},
		{what: "HTTP, all labels", flags: []string{
			rig.HTTP, "--label=eru.health.http.path=/503", "--label=eru.health.http.codes=503", "--label=eru.health.http.host=shop.test",
			"--label=eru.health.http.method=POST", "--label=eru.health.http.header.X-Probe=1", "--label=eru.health.http.body=^POST /503 shop\\.test",
			"--label=eru.health.interval=1s", "--label=eru.health.timeout=1s",
		}, state: healthy},
		{what: "ERU_META", flags: []string{`--label=ERU_META={"Publish":["80"],"HealthCheck":{"TCPPorts":["8081"],"HTTPPort":"80","HTTPURL":"404","HTTPCode":404}}`}, state: healthy},
		{what: "a flat label over ERU_META", flags: []string{`--label=ERU_META={"HealthCheck":{"HTTPPort":"80","HTTPURL":"/404","HTTPCode":404}}`, "--label=eru.health.http.path=/"}, state: "starting", detail: "200, want 404"},

		{what: "an Eru name", name: name + "_a_b_api_Xy12", state: healthy, key: name + "_a_b/api"},
		{what: "Compose", flags: []string{"--label=com.docker.compose.project=stack", "--label=com.docker.compose.service=db"}, name: name + "-compose", state: healthy, key: "stack/db"},
		{what: "Swarm", flags: []string{"--label=com.docker.swarm.service.name=stack.web"}, name: name + "-swarm", state: healthy, key: "stack.web/stack.web"},
		{what: "a name alone", name: name + "-alone", state: healthy, key: name + "-alone/" + name + "-alone"},

		{what: "a port that is none", flags: []string{"--label=eru.health.http.port=eighty"}, state: invalid, detail: `eru.health.http.port="eighty"`},
		{what: "a label that nobody knows", flags: []string{rig.HTTP, "--label=eru.health.http.prot=80"}, state: invalid, detail: "eru.health.http.prot"},
		{what: "ERU_META that is no JSON", flags: []string{"--label=ERU_META={"}, state: invalid, detail: "ERU_META"},
		{what: "a way that is not built in", flags: []string{rig.HTTP, "--label=eru.health.via=netns"}, state: invalid, detail: `eru.health.via="netns"`},
		{what: "another host in the path", flags: []string{rig.HTTP, "--label=eru.health.http.path=http://192.0.2.1/"}, state: "starting", detail: "http :80/http://192.0.2.1/: 404"},
		{what: "an app that would climb", flags: []string{rig.HTTP, "--label=eru.app=../../x", "--label=eru.entrypoint=web"}, name: name + "-climber", state: invalid, key: name + "-climber/" + name + "-climber", detail: "eru.app"},
	} {
		t.Run(test.what, func(t *testing.T) {
			t.Parallel()
			start := node.In(t).Run
			if test.name != "" {
				start = node.In(t).RunNamed
			}
			c := start(cmp.Or(test.name, "labels"), test.flags...)
			s := c.AwaitStatus(test.state+" "+test.detail, func(s rig.Status) bool {
				return s.State == test.state && strings.Contains(s.Detail, test.detail)
			})
			want(t, "healthy", s.Healthy, test.state == healthy)
			want(t, "healthy once", slices.Contains(c.States(), healthy), test.state == healthy)
			if test.key != "" {
				want(t, "key", c.Key(), "status/"+test.key+"/"+node.Name+"/"+c.ID)
			}
		})
	}
}

// TestEndpoints looks at what another host is told to dial.
func TestEndpoints(t *testing.T) {
	t.Parallel()
	n := r.Node(t, etcdtest.Start(t))
	n.Start().AwaitReady()
	c := n.Run("published", "--env=PORTS=80,81,82,83", "--publish=80", "--publish=127.0.0.1::81", "--publish=127.0.0.2::83",
		rig.HTTP, "--label=eru.publish=80,81,82,83")
	s := c.Await("healthy")
	public := n.Command(t, "inspect", "--format", `{{(index .NetworkSettings.Ports "80/tcp" 0).HostPort}}`, c.ID)
	for port, want := range map[string]string{
		"80": rig.NodeIP + ":" + public, // on every address of the node
		"81": c.Address("") + ":81",     // on loopback, which is no use to another host
		"82": c.Address("") + ":82",     // nowhere
		"83": c.Address("") + ":83",     // loopback too
	} {
		if got := s.Endpoints[port]; got != want {
			t.Errorf("endpoint of %s is %q, want %q; all are %v", port, got, want, s.Endpoints)
		}
	}
}

// TestRenamed moves the status of a container whose identity is its name.
func TestRenamed(t *testing.T) {
	t.Parallel()
	n := r.Node(t, etcdtest.Start(t))
	n.Start().AwaitReady()
	c := n.RunNamed(n.Name+"_api_1", rig.HTTP)
	c.Await("healthy")
	was := c.Key()
	n.Command(t, "rename", c.ID, n.Name+"_admin_1")
	now := "status/" + n.Name + "/admin/" + n.Name + "/" + c.ID
	n.Await(t, "the move of the status", func() bool {
		old, _ := n.Last(was)
		e, ok := n.Last(now)
		return ok && old.Deleted() && e.Status(t).State == "healthy"
	}, func() string { return strings.Join(c.States(), " ") })
	for _, e := range n.Events(now) {
		want(t, "state", e.Status(t).State, "healthy") // and not starting again
	}
}
