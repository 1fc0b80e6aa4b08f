package rig

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The versions of etcd that clusters run: Debian's, from PATH, and that of go.mod.
const (
	OldEtcd = "3.4"
	NewEtcd = "3.7"
)

// Etcd is the etcd program of a version. The newer one is built once per run, and only if it is asked for.
func (r *Rig) Etcd(t testing.TB, version string) string {
	t.Helper()
	if version == OldEtcd {
		return "etcd"
	}
	path, err := r.etcd()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func (r *Rig) buildEtcd() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*Patience)
	defer cancel()
	path := filepath.Join(r.dir, "etcd")
	// As the agent is built, with which it shares most of what it is made of.
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", "grpcnotrace", "-ldflags", "-s -w", "-o", path, "go.etcd.io/etcd/server/v3")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building etcd: %w: %s", err, out)
	}
	return path, nil
}

// Through is the node whose agents reach etcd at other endpoints, those of proxies, say.
func (n *Node) Through(endpoints string) *Node {
	through := *n
	through.etcd = endpoints
	return &through
}
