package install

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// shell is the first block of shell in a section of a page.
func shell(t *testing.T, page, heading string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", page))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)\n## " + regexp.QuoteMeta(heading) + "\n.*?\n```sh\n(.*?)\n```").FindSubmatch(text)
	if m == nil {
		t.Fatalf("%s has no shell under %q", page, heading)
	}
	return string(m[1])
}

// imaged is an agent in a container.
type imaged struct {
	t    *testing.T
	name string
}

// runImage starts one with the command that docs/operating.md gives, changed by replacing old with new; what has to be this
// test's own (names, files, the image's tag) is replaced, too.
func runImage(t *testing.T, n *rig.Node, old, instead string) imaged {
	t.Helper()
	command, _, _ := strings.Cut(shell(t, "docs/operating.md", "In a container"), "\ndocker exec")
	if !strings.Contains(command, old) {
		t.Fatalf("the command has no %q:\n%s", old, command)
	}
	dir := t.TempDir()
	config := fmt.Sprintf("node: %s\nnode_ip: %s\ndocker: {select: [%s]}\netcd: {endpoints: [%q], prefix: %s}\napi: {addr: %q}\nhealthcheck: {netns: true}\n",
		n.Name, rig.NodeIP, n.Label(), n.Endpoint(), n.Prefix, rig.FreeAddress(t))
	if err := os.WriteFile(filepath.Join(dir, "agent.yaml"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	for path := dir; path != os.TempDir(); path = filepath.Dir(path) { // for the image's user
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	i := imaged{t, n.Name + "-agent"}
	command = strings.Replace(command, old, instead, 1)
	command = strings.NewReplacer("--name eru-agent", "--name "+i.name+" --label "+r.Mark(), "/etc/eru:/etc/eru", dir+":/etc/eru", "eru-agent:local", "eru-agent:"+p.tag).Replace(command)
	sh(t, command)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the agent's log:\n%s", i.log())
		}
		r.Command(t, "rm", "--force", i.name)
	})
	return i
}

// exec runs the agent's command line in the container.
func (i imaged) exec(args string) (string, int) {
	return try(i.t, "docker exec "+i.name+" eru-agent "+args)
}

func (i imaged) log() string {
	out, _ := try(i.t, "docker logs "+i.name)
	return out
}

// says waits for a text in the agent's log.
func (i imaged) says(text string) {
	i.t.Helper()
	rig.Await(i.t, "the agent to say "+text, func() error {
		if out := i.log(); !strings.Contains(out, text) {
			return fmt.Errorf("it says %s", out)
		}
		return nil
	})
}

// TestImage runs the agent as docs/operating.md says, on all that it is for.
func TestImage(t *testing.T) {
	n := r.Node(t, etcdtest.Start(t))
	i := runImage(t, n, "", "")
	c := n.Run("shop", rig.HTTP)
	elsewhere := n.Run("elsewhere", "--network="+n.Network("other"), rig.HTTP)
	c.Await("healthy")
	elsewhere.Await("healthy")
	if id, err := os.ReadFile("/etc/machine-id"); err == nil && len(id) >= 8 {
		awaitAgent(t, n, p.tag, `"machine":"`+sh(t, "hostname")+"/"+string(id[:8])+`"`)
	}
	if out, code := i.exec("explain " + c.Name); code != 0 || !strings.Contains(out, "proxies send to it") {
		t.Errorf("explain: exit code %d\n%s", code, out)
	}
	if out, code := i.exec("reload"); code != 0 {
		t.Errorf("reload: exit code %d\n%s", code, out)
	}
	typo := n.Run("typo", "--label=eru.health.http.port=8000")
	typo.AwaitListening()
	typo.AwaitStatus("a refusal", func(s rig.Status) bool { return s.Reason == "connect_refused" })
	if out, code := i.exec("explain " + typo.Name); code != 1 || !strings.Contains(out, "nobody in the container listens on it, but on 80") {
		t.Errorf("explain: exit code %d\n%s", code, out)
	}
	inside := n.Run("inside", "--network=none", rig.HTTP, "--label=eru.health.via=netns")
	if s := inside.Await("invalid"); s.Reason != "capability" {
		t.Errorf("without capabilities: reason %q, detail %q", s.Reason, s.Detail)
	}
	c.Docker("kill")
	c.Await("stopped")

	since := n.Catch()
	r.Command(t, "stop", i.name)
	awaitAgent(t, n, `"state":"stopping"`)
	unchanged(t, n, since)
	if out := i.log(); strings.Contains(out, "no pidfd") || strings.Contains(out, "ERROR") {
		t.Errorf("its log has\n%s", out)
	}
}

// insideFlags are what probes from inside need of a container.
const insideFlags = "--user 0:0 --cap-add SYS_ADMIN --cap-add SYS_PTRACE"

// TestImageLacks takes one thing away at a time.
func TestImageLacks(t *testing.T) {
	for _, test := range []struct{ without, says string }{
		{"--pid host", "an agent in a container needs the host's PID namespace"},
		{`--group-add "$(stat -c %g /var/run/docker.sock)"`, "permission denied while trying to connect to the Docker daemon socket"},
		{"--volume /var/run/docker.sock:/var/run/docker.sock", "Cannot connect to the Docker daemon"},
	} {
		t.Run(test.without, func(t *testing.T) {
			n := r.Node(t, etcdtest.Start(t))
			c := n.Run("shop", rig.HTTP)
			i := runImage(t, n, test.without, "")
			i.says(test.says)
			if test.without != "--pid host" {
				return
			}
			c.Await("healthy")
			c.Docker("kill")
			c.Await("stopped") // by Docker's word
			const needs = "it needs --pid host, and to enter " + insideFlags
			inside := n.Run("inside", "--network=none", rig.HTTP, "--label=eru.health.via=netns")
			if s := inside.Await("invalid"); s.Reason != "capability" || !strings.Contains(s.Detail, needs) {
				t.Errorf("a probe from inside: reason %q, detail %q", s.Reason, s.Detail)
			}
			if out, code := i.exec("explain " + inside.Name); code != 1 || !strings.Contains(out, needs) {
				t.Errorf("explain: exit code %d\n%s", code, out)
			}
		})
	}
}

// TestImageFromInside gives the agent what docs/operating.md says probes from inside need.
func TestImageFromInside(t *testing.T) {
	page, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "`"+insideFlags+"`") {
		t.Errorf("docs/operating.md does not name %s", insideFlags)
	}
	n := r.Node(t, etcdtest.Start(t))
	runImage(t, n, "--cap-drop ALL", "--cap-drop ALL "+insideFlags)
	n.Run("inside", "--network=none", rig.HTTP, "--label=eru.health.via=netns").Await("healthy")
}
