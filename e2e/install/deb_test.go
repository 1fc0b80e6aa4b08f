package install

import (
	"fmt"
	"strings"
	"testing"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// settings are those of a node's agent.
func settings(n *rig.Node, docker, api string) string {
	return fmt.Sprintf("node: %s\nnode_ip: %s\ndocker: {endpoint: 'unix://%s', select: [%s]}\netcd: {endpoints: [%q], prefix: %s}\napi: %s\n",
		n.Name, rig.NodeIP, docker, n.Label(), n.Endpoint(), n.Prefix, api)
}

// unchanged fails the test for each change of a status after a revision.
func unchanged(t *testing.T, n *rig.Node, since int64) {
	t.Helper()
	n.Catch()
	for _, e := range n.Events("status/") {
		if e.Revision > since {
			t.Errorf("revision %d changed %s to %s", e.Revision, e.Key, e.Value)
		}
	}
}

// awaitAgent returns once an agent of a version says of itself, in the node's record, what text is.
func awaitAgent(t *testing.T, n *rig.Node, texts ...string) {
	t.Helper()
	key := "status:node/" + n.Name
	n.Await(t, fmt.Sprintf("the node's record to hold %q", texts), func() bool {
		e, ok := n.Last(key)
		for _, text := range texts {
			ok = ok && strings.Contains(string(e.Value), text)
		}
		return ok
	}, func() string {
		e, _ := n.Last(key)
		return string(e.Value)
	})
}

// TestDebianPackage goes through an agent's whole life on a host; a container that serves is healthy in etcd from its first
// verdict on, whatever becomes of the package.
func TestDebianPackage(t *testing.T) {
	n := r.Node(t, etcdtest.Start(t))
	h := newHost(t)
	c := n.Run("shop", rig.HTTP)

	h.install(older, "eru-agent")
	h.want("systemctl is-enabled eru-agent", "disabled")
	h.want("systemctl is-active eru-agent", "inactive")
	h.want("stat --format='%U %G %a' /etc/eru/agent.yaml", "root eru-agent 640")
	h.want("eru-agent version | cut --delimiter=' ' --fields=1-6", "eru-agent "+older+" (commit 0123456789abcdef0123456789abcdef01234567 of 2025-11-24T16:00:00Z,")
	h.do("eru-agent check-config")

	config := settings(n, "/docker.sock", "{addr: 127.0.0.1:0}")
	h.write("/etc/eru/agent.yaml", config)
	h.do("eru-agent check-config")
	h.do("systemctl enable --now eru-agent") // returns when it is ready
	h.want("systemctl is-active eru-agent", "active")
	h.want("systemctl show --property=User,SupplementaryGroups --value eru-agent | paste --serial --delimiters=' '", "eru-agent docker")
	c.Await("healthy")
	awaitAgent(t, n, older, `"state":"running"`)
	since := n.Catch()

	said := h.install(newer, "eru-agent")
	if strings.Contains(said, "onfiguration file") {
		t.Errorf("the upgrade asks about the configuration:\n%s", said)
	}
	awaitAgent(t, n, newer, `"state":"running"`)
	rig.Await(t, "the new agent to be ready", func() error {
		if out, _, _ := h.try("systemctl is-active eru-agent"); out != "active" {
			return fmt.Errorf("it is %s", out)
		}
		return nil
	})
	h.want("systemctl is-enabled eru-agent", "enabled")
	h.want("cat /etc/eru/agent.yaml", strings.TrimSpace(config))
	unchanged(t, n, since)
	c.Behave("500") // it is the new one that sees this
	c.Await("unhealthy")
	c.Behave("ok")
	c.Await("healthy")
	since = n.Catch()

	h.do("dpkg --remove eru-agent")
	h.want("systemctl is-active eru-agent", "inactive")
	h.want("ls /etc/eru /usr/bin/eru-agent 2>/dev/null", "/etc/eru:\nagent.yaml")
	awaitAgent(t, n, newer, `"state":"stopping"`)
	unchanged(t, n, since)

	h.do("dpkg --purge eru-agent")
	h.want("find /etc/eru /etc/systemd/system /usr -name '*eru-*' -not -path '/usr/share/doc/eru-*'", "")
	h.want("systemctl --failed --no-legend", "")
	unchanged(t, n, since)
}

// TestDebianChangelog wants one, as Debian policy 12.7 has it for a package that is its own upstream, and all files root's.
func TestDebianChangelog(t *testing.T) {
	for _, program := range []string{"eru-agent", "eru-lb"} {
		file := p.of(t, older, program, "_*.deb")
		for line := range strings.Lines(output(t, "dpkg-deb", "--contents", file)) {
			if !strings.Contains(line, " root/root ") {
				t.Errorf("%s: not root's by name: %s", program, line)
			}
		}
		changelog := "./usr/share/doc/" + program + "/changelog.gz"
		if got := sh(t, "dpkg-deb --contents "+file+" | grep --ignore-case --only-matching '[^ ]*changelog.*'"); got != changelog {
			t.Errorf("%s has the changelogs\n%s\nwant %s", program, got, changelog)
		}
		lines := strings.Split(sh(t, "dpkg-deb --fsys-tarfile "+file+" | tar --extract --to-stdout "+changelog+" | gzip --decompress"), "\n")
		first, last := program+" (0.1.0) unstable; urgency=medium", " -- projecteru2 <projecteru2@users.noreply.github.com>  Mon, 24 Nov 2025 16:00:00 +0000"
		if lines[0] != first || lines[len(lines)-1] != last {
			t.Errorf("%s's changelog begins with %q, want %q; it ends with %q, want %q", program, lines[0], first, lines[len(lines)-1], last)
		}
	}
}

// alone is the configuration of an agent whose etcd is away.
var alone = "node: nowhere\ndocker: {endpoint: unix:///docker.sock, select: [eru.e2e=none]}\netcd: {endpoints: ['127.0.0.1:1']}\napi: {" + api + "}\n"

// mainPID prints the agent's process, 0 if there is none.
const mainPID = "systemctl show --property=MainPID --value eru-agent"

// awaitOther returns the agent's process once there is another one than former.
func (h *host) awaitOther(former string) string {
	h.t.Helper()
	now := ""
	rig.Await(h.t, "another agent to start", func() error {
		if now = h.do(mainPID); now == former || now == "0" {
			return fmt.Errorf("process %s runs, as before", now)
		}
		return nil
	})
	return now
}

// TestUpgradeWithoutEtcd must end, although the new agent is not ready before etcd answers.
func TestUpgradeWithoutEtcd(t *testing.T) {
	h := newHost(t)
	h.install(older, "eru-agent")
	h.write("/etc/eru/agent.yaml", alone)
	h.do("systemctl enable eru-agent && systemctl start --no-block eru-agent")
	first := h.awaitOther("0")
	h.install(newer, "eru-agent")
	h.awaitOther(first)
	rig.Await(t, "an agent that is not ready to read its file again", func() error { // systemctl reload waits until it is ready
		if out, errs, code := h.try("eru-agent reload"); code != 0 {
			return fmt.Errorf("exit code %d: %s%s", code, out, errs)
		}
		return nil
	})
	h.want("systemctl show --property=ActiveState --value eru-agent", "activating")
}

// TestBalancerPackage installs eru-lb, which must not start before it knows any service.
func TestBalancerPackage(t *testing.T) {
	h := newHost(t)
	h.install(older, "eru-lb")
	h.want("systemctl is-enabled eru-lb", "disabled")
	h.want("systemctl is-active eru-lb", "inactive")
	h.want("stat --format='%U %G %a' /etc/eru/lb.yaml", "root eru-lb 640")
	h.write("/etc/eru/lb.yaml", "services: [shop/web]\nmetrics: {addr: 127.0.0.1:0}\netcd: {endpoints: ['127.0.0.1:1']}\n")
	h.do("eru-lb check-config && systemctl start --no-block eru-lb")
	rig.Await(t, "eru-lb to say what it waits for", func() error {
		if out := h.do("systemctl show --property=StatusText --value eru-lb"); out == "" {
			return fmt.Errorf("it is %s", h.do("systemctl show --property=ActiveState,SubState,Result eru-lb"))
		}
		return nil
	})
	h.install(newer, "eru-lb")
	h.do("test -d /var/lib/eru-lb")
	h.do("dpkg --purge eru-lb")
	h.want("find /etc/eru /var/lib/eru-lb /usr/bin/eru-lb 2>/dev/null", "")
	h.want("systemctl --failed --no-legend", "")
}
