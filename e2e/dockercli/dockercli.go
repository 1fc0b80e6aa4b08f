// Package dockercli owns how tests and measurements use Docker's command line: as
// a person would, with nothing from a registry.
package dockercli

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// Run runs a command of the Docker at host and returns what it prints, without
// the last line's end. in may be nil. ctx ends the command.
func Run(ctx context.Context, host string, in io.Reader, args ...string) (string, error) {
	c := exec.CommandContext(ctx, "docker", args...)
	c.Env, c.Stdin = append(os.Environ(), "DOCKER_HOST="+host), in
	var errs strings.Builder
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("running docker %s: %w: %s", args[0], err, strings.TrimSpace(errs.String()))
	}
	return strings.TrimSpace(string(out)), nil
}

// Import makes an image of the web server in file alone, without a builder, and
// returns its ID. Changes are further lines as in a Dockerfile.
func Import(ctx context.Context, host, file, name string, changes ...string) (string, error) {
	program, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("reading the web server: %w", err)
	}
	var files bytes.Buffer
	w := tar.NewWriter(&files)
	err = w.WriteHeader(&tar.Header{Name: "web", Mode: 0o755, Size: int64(len(program))})
	if err == nil {
		_, err = w.Write(program)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return "", fmt.Errorf("packing the web server: %w", err)
	}
	args := []string{"import"}
	for _, change := range append(changes, `ENTRYPOINT ["/web"]`) {
		args = append(args, "--change", change)
	}
	return Run(ctx, host, &files, append(args, "-", name)...)
}
