package proxy

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// BuildConfd builds confd as examples/confd/README.md says, from the repository
// at root.
func BuildConfd(ctx context.Context, root, binary string) error {
	c := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "github.com/kelseyhightower/confd")
	c.Dir, c.Env = filepath.Join(root, "examples", "confd"), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("building confd: %w: %s", err, out)
	}
	return nil
}

// Confd renders a proxy's configuration from etcd and makes the proxy reload.
type Confd struct{ binary, dir, etcd string }

// Once renders what etcd holds now, and ends.
func (c Confd) Once(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, c.binary, c.flags("-onetime", "-sync-only")...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("rendering with confd: %w: %s", err, out)
	}
	return nil
}

// Watch renders anew at every change.
func (c Confd) Watch() *exec.Cmd { return exec.Command(c.binary, c.flags("-watch")...) }

func (c Confd) flags(more ...string) []string {
	return append(more, "-backend", "etcdv3", "-node", c.etcd, "-confdir", c.dir)
}
