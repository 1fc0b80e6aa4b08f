package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// says holds what explain says, what it does not, and its exit code.
func says(t *testing.T, out string, code, wanted int, texts []string, not ...string) {
	t.Helper()
	want(t, "exit code", code, wanted)
	for _, text := range texts {
		if !strings.Contains(out, text) {
			t.Errorf("it does not say %q:\n%s", text, out)
		}
	}
	for _, text := range not {
		if strings.Contains(out, text) {
			t.Errorf("it says %q:\n%s", text, out)
		}
	}
}

// TestExplainWithoutDocker asks while Docker is away: what the others know is told.
func TestExplainWithoutDocker(t *testing.T) {
	t.Parallel()
	n := r.Node(t, etcdtest.Start(t))
	a := n.Start().AwaitReady()
	c := n.Run("shop", rig.HTTP)
	c.Await("healthy")
	away := []string{"--docker.select", n.Label(), "--docker.endpoint", "unix://" + filepath.Join(t.TempDir(), "nobody.sock")}
	out, code := explained(t, n, a, append(away, c.Name)...)
	says(t, out, code, 0, []string{"nobody.sock", "sends requests", "it is healthy, and proxies send to it"}, "does not know it")
	out, code = explained(t, n, a, append(away, "nobody")...)
	says(t, out, code, 1, []string{"the agent knows none of that name, and Docker cannot be asked", "see that Docker answers"}, "does not know it", "no agent answers")
	c.Behave("500")
	c.Await("unhealthy")
	out, code = explained(t, n, a, append(away, c.Name)...)
	says(t, out, code, 1, []string{"nobody.sock", "its probe fails: http :80/: 500, want 200-399", "the last set is kept"})
}

// TestExplainWithoutEtcd asks while etcd is away: what the agent has not got through is told as that.
func TestExplainWithoutEtcd(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	n := r.Node(t, etcd)
	a := n.Start().AwaitReady()
	c := n.Run("shop", rig.HTTP)
	c.Await("healthy")
	etcd.Stop()
	flags := []string{"--docker.select", n.Label(), "--etcd.timeout", "1s", c.Name}
	out, code := explained(t, n, a, flags...)
	says(t, out, code, 1, []string{"the agent calls it healthy, but etcd cannot be asked", "see that etcd can be reached"}, "sends requests", "no key of it stands")
	c.Behave("500")
	a.AwaitKnows(c, "unhealthy")
	out, code = explained(t, n, a, flags...)
	says(t, out, code, 1, []string{"is unhealthy", "etcd has not taken it yet", "its probe fails: http :80/: 500", "What a proxy sees"}, "sends requests", "sends nothing", "no key of it stands")
	out, code = explained(t, n, a, append([]string{"--api.addr", "127.0.0.1:1"}, flags...)...)
	says(t, out, code, 1, []string{"no agent answers here", "systemctl start eru-agent"}, "what stands in etcd")
}

// TestExplainGuarded asks an agent whose port wants a password, or TLS: Docker and etcd are told all the same, and nobody is
// sent to start an agent that runs.
func TestExplainGuarded(t *testing.T) {
	t.Parallel()
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	cert, key := etcdtest.NewAuthority(t).Issue("agent", time.Now().Add(time.Hour), net.IPv4(127, 0, 0, 1))
	for what, test := range map[string]struct {
		config string
		says   []string
	}{
		"password": {fmt.Sprintf("basic_auth_users: {ops: %q}\n", hash), []string{"the agent's port wants a password (api.web_config)", "curl --user NAME 'http://"}},
		"TLS":      {fmt.Sprintf("tls_server_config: {cert_file: %q, key_file: %q}\n", cert, key), []string{"the agent's port wants TLS (api.web_config)", "curl --cacert FILE 'https://"}},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "web.yml")
			if err := os.WriteFile(file, []byte(test.config), 0o600); err != nil {
				t.Fatal(err)
			}
			etcd := etcdtest.Start(t)
			n := r.Node(t, etcd)
			a := n.Start("--api.web_config", file)
			c := n.Run("shop", rig.HTTP)
			c.Await("healthy")
			selected := []string{"--docker.select", n.Label()}
			out, code := explained(t, n, a, append(selected, c.Name)...)
			says(t, out, code, 0, append(test.says, "/explain?container="+c.Name+"'", "sends requests"), "no agent answers")
			c.Docker("pause")
			c.Await("paused")
			out, code = explained(t, n, a, append(selected, c.Name)...)
			says(t, out, code, 1, append(test.says, "docker unpause"), "no agent answers")

			elsewhere := append(selected, "--etcd.prefix", "/elsewhere", c.Name) // where this agent writes nothing
			out, code = explained(t, n, a, elsewhere...)
			says(t, out, code, 1, append(test.says, "etcd has no status of it, and the agent's port is guarded"), "has not seen it", "no agent answers")
			etcd.Put("/elsewhere/"+c.Key(), fmt.Sprintf(`{"id":%q,"running":true,"state":"lost","reason":"node_lost","detail":"n9 does not answer"}`, c.ID))
			out, code = explained(t, n, a, elsewhere...)
			says(t, out, code, 1, []string{"its node is held to be lost: n9 does not answer", "look at the node itself"})
		})
	}
}

// TestExplainSilent asks for a container whose agent holds no session: an error, unless it is desired.
func TestExplainSilent(t *testing.T) {
	t.Parallel()
	n := r.Node(t, etcdtest.Start(t))
	a := n.Start("--selfmon.enabled=false")
	c := n.Run("shop", rig.HTTP)
	c.Await("healthy")
	selected := []string{"--docker.select", n.Label(), c.Name}
	out, code := explained(t, n, a, selected...)
	says(t, out, code, 1, []string{"its node's session has ended; this is the last known", "look at /readyz of the agent on that node"})
	out, code = explained(t, n, a, append([]string{"--selfmon.enabled=false"}, selected...)...)
	says(t, out, code, 0, []string{"its agent holds no session, because selfmon.enabled is false", "it is healthy, and proxies send to it"}, "has ended")
}
