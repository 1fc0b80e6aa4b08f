package install

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// dropIn is how docs/probes.md has netns.conf installed, from where the package has it.
func dropIn(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/probes.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := regexp.MustCompile("(?s)```sh\n(install [^`]*netns.conf[^`]*)```").FindSubmatch(text)
	if lines == nil {
		t.Fatal("docs/probes.md does not say how to install netns.conf")
	}
	return strings.Replace(string(lines[1]), "/usr/local/share/", "/usr/share/", 1)
}

// holds fails the test unless the agent's process has these capabilities and no other, and systemd says how exposed it is.
func (h *host) holds(capabilities uint64, exposed string) {
	h.t.Helper()
	mask := fmt.Sprintf("%016x", capabilities)
	h.want("grep ^Cap /proc/$("+mainPID+")/status | cut --fields=2 | sort --unique", mask)
	// docs/security.md has the figures.
	h.want("systemd-analyze security --no-pager eru-agent | sed --silent 's/.*exposure level[^:]*: \\([0-9.]*\\).*/\\1/p'", exposed)
}

// TestNetnsDropIn asks a container without a network, which Docker runs on the same host as the agent.
func TestNetnsDropIn(t *testing.T) {
	h := newHost(t)
	if err := os.Chmod(p.dir, 0o755); err != nil { // for the agent's account
		t.Fatal(err)
	}
	socket := filepath.Join(p.dir, "docker.sock")
	t.Cleanup(func() { _ = os.Remove(socket) })
	engine := r.EngineBeside(t, r.Command(t, "inspect", "--format", "{{.State.Pid}}", h.id), "--host", "unix://"+socket)
	n := r.On(engine.Address()).Node(t, etcdtest.Start(t))
	h.install(newer, "eru-agent")
	h.write(configFile, settings(n, "/packages/docker.sock", "{"+api+"}")+"healthcheck: {netns: true}\n")
	h.do("eru-agent check-config && systemctl start eru-agent")
	h.holds(0, "1.5")
	c := n.Run("inside", "--network=none", rig.HTTP, "--label=eru.health.via=netns")
	s := c.Await("invalid")
	if s.Reason != "capability" || !strings.Contains(s.Detail, "it needs CAP_SYS_ADMIN and CAP_SYS_PTRACE: install netns.conf, see docs/probes.md") {
		t.Errorf("without the drop-in: reason %q, detail %q", s.Reason, s.Detail)
	}

	h.do(dropIn(t))
	h.holds(1<<unix.CAP_SYS_ADMIN|1<<unix.CAP_SYS_PTRACE, "2.3")
	c.Await("healthy")
	c.Docker("kill")
	c.Await("stopped")
	h.do(reload)
	h.answers("runuser --user eru-agent -- eru-agent reload", 1, "be root, or, if the agent has no capabilities (netns.conf), its account")
}
