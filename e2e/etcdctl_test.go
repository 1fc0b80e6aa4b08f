package e2e

import (
	"context"
	"fmt"
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

// TestRestoredBackup puts an old backup back under a running agent and a running reader: the agent mends what is old, brings
// back what is missing and takes away what is gone, and the reader never loses a server meanwhile.
func TestRestoredBackup(t *testing.T) {
	t.Parallel()
	server := etcdtest.StartProcess(t)
	n := r.Node(t, server)
	a := n.Start().AwaitReady()
	old := many(n, 3, rig.HTTP)
	upstream := filepath.Join(t.TempDir(), "upstream.conf")
	follow(t, "many", "web", "--etcd", server.Endpoint(), "--prefix", n.Prefix, "--format", "nginx", "--output", upstream)
	backup := filepath.Join(t.TempDir(), "eru.db")
	save := exec.Command("etcdctl", "snapshot", "save", backup)
	save.Env = append(os.Environ(), "ETCDCTL_API=3", "ETCDCTL_ENDPOINTS="+server.Endpoint())
	if out, err := save.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	late := many(n, 1, rig.HTTP)[0]
	old[0].Behave("500")
	old[0].Await("unhealthy")
	old[1].Docker("rm", "--force")
	old[1].AwaitGone()
	served := []*rig.Container{old[2], late}
	rig.Await(t, "what is served before", func() error { return holds(upstream, served) })

	server.Restore(backup)
	newcomer := n.Run("many", rig.HTTP) // the agent has to write, and need not wait for its look at etcd once a minute
	a.AwaitLog("etcd went back in time")
	rig.Await(t, "what stands in etcd", func() error {
		text, err := os.ReadFile(upstream)
		if err != nil {
			return err
		}
		for _, c := range served {
			if !strings.Contains(string(text), c.ID[:12]) {
				t.Fatalf("%s was taken out of service:\n%s", c.ID[:12], text)
			}
		}
		for _, c := range old[:2] {
			if s := stands(t, n, server, c); strings.Contains(s, `"healthy":true`) {
				return fmt.Errorf("%s is %q", c.ID[:12], s)
			}
		}
		if s := stands(t, n, server, late); !strings.Contains(s, `"healthy":true`) {
			return fmt.Errorf("%s is %q", late.ID[:12], s)
		}
		return nil
	})
	late.Docker("kill")
	rig.Await(t, "what is served afterwards", func() error { return holds(upstream, []*rig.Container{old[2], newcomer}) })
}

// stands is the value of a container's key, "" for none. etcd is there, so an error ends the test.
func stands(t *testing.T, n *rig.Node, server *etcdtest.Server, c *rig.Container) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), rig.Patience)
	defer cancel()
	resp, err := server.Client().Get(ctx, n.Prefix+"/status/many/web/"+n.Name+"/"+c.ID)
	if err != nil {
		t.Fatal(err)
	}
	if len(resp.Kvs) == 0 {
		return ""
	}
	return string(resp.Kvs[0].Value)
}
