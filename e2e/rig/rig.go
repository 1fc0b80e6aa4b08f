// Package rig is what end-to-end tests stand on: the real agent as a process, real containers that behave as told, and a
// witness that follows etcd by itself. It owns how these are started, waited for and cleared away; what must hold is for
// the tests to say.
//
// A test takes a Node (a name, a prefix in etcd, a label that only its containers have), starts Agents and Containers on
// it, and waits for what the Witness sees:
//
//	n := r.Node(t, etcdtest.Start(t))
//	n.Start().AwaitReady()
//	c := n.Run("shop", rig.HTTP)
//	c.Await("healthy")
//	c.Behave("500")
//	c.Await("unhealthy")
//
// Every wait is bounded by Patience and ends the test with what was seen instead. Nothing here measures.
package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/e2e/dockercli"
)

// Patience bounds every wait; it is long, because the machine may be busy.
const Patience = time.Minute

// Version is what the agent that is tested calls itself.
const Version = "v0.0.0-e2e"

// runLabel stands on everything that a run leaves in Docker, with the process ID of the run as its value.
const runLabel = "eru.e2e.run"

const module = "github.com/projecteru2/eru-agent"

// Rig is what all tests of one run share.
type Rig struct {
	dir    string
	docker string // Docker's address
	image  func() (string, error)
	etcd   func() (string, error)
	serial atomic.Int64
	used   atomic.Bool // Docker has been asked for something
}

// New builds the agent, eru-lb and the web server; ctx bounds that. Docker is not needed before the first Node.
func New(ctx context.Context) (*Rig, error) {
	dir, err := os.MkdirTemp("", "eru-agent-e2e-")
	if err != nil {
		return nil, fmt.Errorf("making a place for binaries: %w", err)
	}
	r := &Rig{dir: dir, docker: "unix:///var/run/docker.sock"}
	if host := os.Getenv("DOCKER_HOST"); host != "" {
		r.docker = host
	}
	r.image = sync.OnceValues(r.makeImage)
	r.etcd = sync.OnceValues(r.buildEtcd)
	if err := build(ctx, Version, "-o", dir+"/", module+"/cmd/eru-agent", module+"/cmd/eru-lb", module+"/e2e/web"); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return r, nil
}

// Main makes the rig that r points to, runs a package's tests on it and clears away. What it returns is for os.Exit.
func Main(m *testing.M, r **Rig) int {
	var err error
	if *r, err = New(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := (*r).Close(); err != nil {
		fmt.Fprintln(os.Stderr, "clearing away:", err)
		code = 1
	}
	return code
}

func build(ctx context.Context, version string, args ...string) error {
	c := exec.CommandContext(ctx, "go", append([]string{"build", "-trimpath", "-tags", "grpcnotrace",
		"-ldflags", "-s -w -X " + module + "/cmd/cli.version=" + version}, args...)...)
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("building the agent: %w: %s", err, out)
	}
	return nil
}

// Build builds another agent, which says that it is of version, with more flags for go build, and returns its path.
func (r *Rig) Build(ctx context.Context, version string, flags ...string) (string, error) {
	path := filepath.Join(r.dir, "eru-agent-"+version)
	return path, build(ctx, version, append(flags, "-o", path, module+"/cmd/eru-agent")...)
}

// On is the rig with another Docker, such as an Engine's: the same programs, the image made anew.
func (r *Rig) On(docker string) *Rig {
	other := &Rig{dir: r.dir, docker: docker}
	other.image = sync.OnceValues(other.makeImage)
	return other
}

// Close removes what the run has made, whether its tests did or not.
func (r *Rig) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	var err error
	if r.used.Load() {
		err = r.sweep(ctx, func(pid int) bool { return pid == os.Getpid() })
	}
	return errors.Join(err, os.RemoveAll(r.dir))
}

// Binary is the path of the agent.
func (r *Rig) Binary() string { return filepath.Join(r.dir, "eru-agent") }

// Balancer is the path of eru-lb.
func (r *Rig) Balancer() string { return filepath.Join(r.dir, "eru-lb") }

// Docker is the address at which Docker answers.
func (r *Rig) Docker() string { return r.docker }

// name is one that nothing else on this machine has.
func (r *Rig) name(what string) string {
	return fmt.Sprintf("e2e-%d-%d-%s", os.Getpid(), r.serial.Add(1), what)
}

// makeImage makes an image of the web server alone, without a builder or a registry, and first clears away what a run
// that was killed has left.
func (r *Rig) makeImage() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	if _, err := r.command(ctx, "version", "--format", "{{.Server.Version}}"); err != nil {
		return "", fmt.Errorf("these tests need a Docker Engine and its client (make test sets them up): %w", err)
	}
	r.used.Store(true)
	if err := r.sweep(ctx, func(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }); err != nil {
		return "", err
	}
	return dockercli.Import(ctx, r.docker, filepath.Join(r.dir, "web"), r.name("web"), "LABEL "+r.Mark())
}

// sweep removes what the runs that are chosen have left in Docker.
func (r *Rig) sweep(ctx context.Context, chosen func(pid int) bool) error {
	var errs []error
	filter := "label=" + runLabel
	value := fmt.Sprintf("{{.ID}} {{.Label %q}}", runLabel)
	by := func(args ...string) func(context.Context, string) error {
		return func(ctx context.Context, id string) error {
			_, err := r.command(ctx, append(slices.Clone(args), id)...)
			return err
		}
	}
	for _, kind := range []struct {
		list   []string
		remove func(context.Context, string) error
	}{
		{[]string{"ps", "--all", "--filter", filter, "--format", value}, by("rm", "--force", "--volumes")},
		{[]string{"volume", "ls", "--filter", filter, "--format", strings.Replace(value, ".ID", ".Name", 1)}, by("volume", "rm")},
		{[]string{"network", "ls", "--filter", filter, "--format", value}, r.removeNetwork},
		{[]string{"images", "--quiet", "--filter", filter}, by("rmi", "--force")},
		// Those that are made as products are have no label; their tag names the run.
		{[]string{"images", "--filter", "reference=eru-*:e2e-*", "--format", "{{.Repository}}:{{.Tag}} {{.Tag}}"}, by("rmi", "--force")},
	} {
		list, err := r.command(ctx, kind.list...)
		if err != nil {
			return err
		}
		for line := range strings.Lines(list) {
			id, run, _ := strings.Cut(strings.TrimSpace(line), " ")
			if run == "" { // Images are listed without labels.
				run, _ = r.command(ctx, "inspect", "--format", fmt.Sprintf("{{index .Config.Labels %q}}", runLabel), id)
			}
			if pid, err := strconv.Atoi(strings.TrimPrefix(run, "e2e-")); err == nil && chosen(pid) {
				errs = append(errs, kind.remove(ctx, id))
			}
		}
	}
	return errors.Join(errs...)
}

// removeNetwork removes a network whose containers are gone. Docker may have miscounted those and then keeps it until it is
// started again (moby/moby#42119): that is left to it.
func (r *Rig) removeNetwork(ctx context.Context, network string) error {
	_, err := r.command(ctx, "network", "rm", network)
	if err == nil || !strings.Contains(err.Error(), "has active endpoints") {
		return err
	}
	if left, look := r.command(ctx, "network", "inspect", "--format", "{{len .Containers}}", network); look != nil || left != "0" {
		return err
	}
	return nil
}

// Await asks until the answer is nil. It is for what cannot tell by itself that it has changed.
func Await(t testing.TB, what string, ask func() error) {
	t.Helper()
	late := time.After(Patience)
	for {
		err := ask()
		if err == nil {
			return
		}
		select {
		case <-late:
			t.Fatalf("waiting for %s: %v", what, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
