package rig

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/projecteru2/eru-agent/e2e/dockercli"
)

// command runs Docker's command line.
func (r *Rig) command(ctx context.Context, args ...string) (string, error) {
	return dockercli.Run(ctx, r.docker, nil, args...)
}

// Command runs Docker's command line and returns what it prints; the test ends if it fails.
func (r *Rig) Command(t testing.TB, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	out, err := r.command(ctx, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Mark is the label of what a run leaves in Docker, as key=value: whatever bears it goes with the run.
func (r *Rig) Mark() string { return fmt.Sprintf("%s=%d", runLabel, os.Getpid()) }

// Network makes a Docker network that ends with the test, after the node's containers, and returns its name.
func (n *Node) Network(what string, flags ...string) string {
	n.t.Helper()
	name := n.name(what)
	n.Command(n.t, append(append([]string{"network", "create", "--label", n.Mark()}, flags...), name)...)
	n.networks = append(n.networks, name)
	return name
}
