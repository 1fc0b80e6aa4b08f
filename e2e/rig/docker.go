package rig

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// command runs Docker's command line.
func (r *Rig) command(ctx context.Context, in io.Reader, args ...string) (string, error) {
	c := exec.CommandContext(ctx, "docker", args...)
	c.Env, c.Stdin = append(os.Environ(), "DOCKER_HOST="+r.docker), in
	var errs strings.Builder
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("running docker %s: %w: %s", args[0], err, strings.TrimSpace(errs.String()))
	}
	return strings.TrimSpace(string(out)), nil
}

// Command runs Docker's command line and returns what it prints; the test ends if it fails.
func (r *Rig) Command(t testing.TB, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	out, err := r.command(ctx, nil, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Network makes a Docker network that ends with the test, after the node's containers, and returns its name.
func (n *Node) Network(what string, flags ...string) string {
	n.t.Helper()
	name := n.name(what)
	n.Command(n.t, append(append([]string{"network", "create", "--label", fmt.Sprintf("%s=%d", runLabel, os.Getpid())}, flags...), name)...)
	n.networks = append(n.networks, name)
	return name
}
