package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// TestPythonReader has examples/reader-python write what a real agent says of real containers.
func TestPythonReader(t *testing.T) {
	t.Parallel()
	eachEtcd(t, func(t *testing.T, start func(testing.TB, ...etcdtest.Option) *etcdtest.Server) {
		server := start(t)
		n := r.Node(t, server)
		n.Start().AwaitReady()
		three := many(n, 3, rig.HTTP)
		upstream := filepath.Join(t.TempDir(), "upstream.conf")
		follow(t, "many", "web", "--etcd", server.Endpoint(), "--prefix", n.Prefix, "--format", "nginx", "--output", upstream)
		wants := func(what string, in ...*rig.Container) {
			t.Helper()
			rig.Await(t, what, func() error { return holds(upstream, in) })
		}
		wants("all three", three...)
		three[0].Behave("500")
		wants("those that pass", three[1:]...)
		three[0].Behave("ok")
		wants("all three again", three...)

		server.Stop()
		server.Restart()
		three[2].Docker("kill")
		wants("those that live, after etcd was away", three[:2]...)
	})
}

// follow starts the reader, and ends it with the test.
func follow(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command("python3", append([]string{"-B", "../examples/reader-python/follow.py"}, args...)...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGINT)
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Errorf("the reader ended with %v, and said\n%s", err, said.String())
		}
	})
}

// holds says what is wrong with an upstream that shall have these servers.
func holds(file string, in []*rig.Container) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for _, c := range in {
		if !strings.Contains(string(text), "# "+c.ID[:12]+"\n") {
			return fmt.Errorf("%s is not in\n%s", c.ID[:12], text)
		}
	}
	if got := strings.Count(string(text), "max_fails"); got != len(in) {
		return fmt.Errorf("%d servers, want %d, in\n%s", got, len(in), text)
	}
	return nil
}
