package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// TestCommandsOfEtcdPage types every line of docs/etcd.md, at an etcd that a real agent uses; the backup is restored into a
// directory beside it.
func TestCommandsOfEtcdPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/etcd.md")
	if err != nil {
		t.Fatal(err)
	}
	server := etcdtest.StartProcess(t)
	n := r.Node(t, server)
	n.Start().AwaitReady()
	c := n.Run("shop", rig.HTTP)
	c.Await("healthy")
	dir := t.TempDir()
	blocks := regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllSubmatch(page, -1)
	if len(blocks) != 4 {
		t.Fatalf("%d blocks of commands, want 4", len(blocks))
	}
	for _, block := range blocks {
		script := strings.ReplaceAll(string(block[1]), "/var/lib/", dir+"/")
		cmd := exec.Command("sh", "-euxc", script)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "ETCDCTL_API=3", "ETCDCTL_ENDPOINTS="+server.Endpoint())
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", script, err, out)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "etcd-restored", "member", "snap", "db")); err != nil {
		t.Errorf("what was restored: %v", err)
	}
	c.Behave("500")
	c.Await("unhealthy")
}
