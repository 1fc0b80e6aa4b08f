package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// stage is what every measurement stands on: an etcd, the agent's binary and
// the test web server.
type stage struct {
	testing.TB // for the helpers of tests; only the methods below exist
	dir        string
	cleanups   []func()
	etcd       *etcdtest.Server
	client     *clientv3.Client
	image      string
	nodes      int
}

func (s *stage) Helper()                           {}
func (s *stage) Name() string                      { return "bench" }
func (s *stage) Logf(string, ...any)               {}
func (s *stage) TempDir() string                   { d, _ := os.MkdirTemp(s.dir, "t"); return d }
func (s *stage) Cleanup(f func())                  { s.cleanups = append(s.cleanups, f) }
func (s *stage) Fatal(args ...any)                 { panic(fmt.Sprint(args...)) }
func (s *stage) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (s *stage) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func (s *stage) open(ctx context.Context) error {
	var err error
	if s.dir, err = os.MkdirTemp("", "eru-agent-bench-"); err != nil {
		return err
	}
	for _, program := range []struct{ name, path string }{{"eru-agent", "./cmd/eru-agent"}, {"web", "./e2e/web"}} {
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", "grpcnotrace", "-o", filepath.Join(s.dir, program.name), program.path)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if text, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("building %s: %w: %s", program.path, err, text)
		}
	}
	s.etcd = etcdtest.Start(s)
	s.client = s.etcd.Client()
	return nil
}

// close undoes everything, last first.
func (s *stage) close() {
	for i := len(s.cleanups) - 1; i >= 0; i-- {
		s.cleanups[i]()
	}
	_ = os.RemoveAll(s.dir)
}

// docker runs Docker's command line.
func (s *stage) docker(ctx context.Context, args ...string) (string, error) {
	c := exec.CommandContext(ctx, "docker", args...)
	c.Env = append(os.Environ(), "DOCKER_BUILDKIT=0")
	var errs strings.Builder
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("docker %s: %w: %s", args[0], err, strings.TrimSpace(errs.String()))
	}
	return strings.TrimSpace(string(out)), nil
}

// makeImage builds the web server's image once.
func (s *stage) makeImage(ctx context.Context) error {
	place := filepath.Join(s.dir, "image")
	web, err := os.ReadFile(filepath.Join(s.dir, "web"))
	if err != nil {
		return err
	}
	err = errors.Join(os.MkdirAll(place, 0o750),
		os.WriteFile(filepath.Join(place, "web"), web, 0o755), //nolint:gosec // it is to be run
		os.WriteFile(filepath.Join(place, "Dockerfile"), []byte("FROM scratch\nCOPY web /web\nENTRYPOINT [\"/web\"]\n"), 0o600))
	if err != nil {
		return err
	}
	s.image = fmt.Sprintf("eru-agent-bench-%d", os.Getpid())
	if _, err := s.docker(ctx, "build", "--quiet", "--tag", s.image, place); err != nil {
		return err
	}
	s.Cleanup(func() { _, _ = s.docker(context.WithoutCancel(ctx), "rmi", "--force", s.image) })
	return nil
}

// process is an agent under measurement.
type process struct {
	cmd  *exec.Cmd
	node string
	api  string
}

// agent starts one on its own node name, and waits until it is ready.
func (s *stage) agent(ctx context.Context, args ...string) (*process, error) {
	s.nodes++
	p := &process{node: fmt.Sprintf("bench%d", s.nodes), api: freeAddress()}
	args = append([]string{"run", "--node", p.node, "--etcd.endpoints", s.etcd.Address(), "--api.addr", p.api}, args...)
	return p, p.start(ctx, filepath.Join(s.dir, "eru-agent"), args)
}

func (p *process) start(ctx context.Context, binary string, args []string) error {
	log, err := os.OpenFile(filepath.Join(filepath.Dir(binary), p.node+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	p.cmd = exec.Command(binary, args...) //nolint:noctx // it is ended by end
	p.cmd.Stderr = log
	if err := p.cmd.Start(); err != nil {
		return err
	}
	return p.awaitReady(ctx)
}

func (p *process) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		if text, err := get(ctx, "http://"+p.api+"/readyz"); err == nil && strings.HasPrefix(text, "ready") {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("agent %s is not ready within a minute", p.node)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func (p *process) end(sig syscall.Signal) {
	_ = p.cmd.Process.Signal(sig)
	_ = p.cmd.Wait()
}

func freeAddress() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}
