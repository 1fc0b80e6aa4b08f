package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// docker runs Docker's command line, as the audience would.
type docker struct {
	host string
	out  io.Writer
}

// run shows a command and runs it.
func (d docker) run(ctx context.Context, args ...string) error {
	_, _ = fmt.Fprintln(d.out, "$ docker "+strings.Join(args, " "))
	_, err := d.quiet(ctx, args...)
	return err
}

func (d docker) quiet(ctx context.Context, args ...string) (string, error) {
	c := exec.CommandContext(ctx, "docker", args...)
	c.Env = append(os.Environ(), "DOCKER_HOST="+d.host, "DOCKER_BUILDKIT=0") // no builder has to be fetched
	var errs strings.Builder
	c.Stderr = &errs
	text, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("running docker %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return strings.TrimSpace(string(text)), nil
}

// build makes an image of one static program, from nothing: no registry is
// needed.
func (d docker) build(ctx context.Context, program, dir string) error {
	binary, err := os.ReadFile(program)
	if err != nil {
		return fmt.Errorf("reading the demonstration's web server (make builds it): %w", err)
	}
	place := filepath.Join(dir, "image")
	err = errors.Join(
		os.MkdirAll(place, 0o750),
		os.WriteFile(filepath.Join(place, "web"), binary, 0o755), //nolint:gosec // it is to be run
		os.WriteFile(filepath.Join(place, "Dockerfile"), []byte("FROM scratch\nCOPY web /web\nENTRYPOINT [\"/web\"]\n"), 0o600),
	)
	if err != nil {
		return fmt.Errorf("preparing the demonstration's image: %w", err)
	}
	// What an earlier, killed demonstration may have left is in the way.
	if err := d.removeContainers(ctx); err != nil {
		return err
	}
	return d.run(ctx, "build", "--quiet", "--tag", demoImage, place)
}

// start runs one container of the demonstration and returns its ID. It takes
// 300 ms to end after its stop signal, as a server does that finishes what it
// has begun.
func (d docker) start(ctx context.Context, name string) (string, error) {
	args := []string{
		"run", "--detach", "--name", name, "--env", "TERM=linger:300ms", "--label", "eru.app=demo", "--label", "eru.entrypoint=web",
		"--label", "eru.health.http.port=80", "--label", "eru.health.interval=1s", demoImage,
	}
	_, _ = fmt.Fprintln(d.out, "$ docker "+strings.Join(args, " "))
	return d.quiet(ctx, args...)
}

func (d docker) address(ctx context.Context, name string) (string, error) {
	return d.quiet(ctx, "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", name)
}

func (d docker) removeContainers(ctx context.Context) error {
	ids, err := d.quiet(ctx, "ps", "--all", "--quiet", "--filter", "label=eru.app=demo", "--filter", "name=^eru-demo-")
	if err != nil || ids == "" {
		return err
	}
	_, err = d.quiet(ctx, append([]string{"rm", "--force"}, strings.Fields(ids)...)...)
	return err
}

// cleanUp leaves the machine as it was, whatever happened before.
func (d docker) cleanUp() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	err := d.removeContainers(ctx)
	_, imageErr := d.quiet(ctx, "rmi", "--force", demoImage)
	return errors.Join(err, imageErr)
}
