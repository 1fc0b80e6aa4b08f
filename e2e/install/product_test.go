package install

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The versions that are made, one of which is newer.
const (
	older = "v0.1.0"
	newer = "v0.2.0"
)

// products are the packages of both versions, and images.
type products struct {
	dir     string
	sources string
	tag     string // of the images, which nobody else has
	recipe  string // what is said to make
}

// produce makes them of a copy of these sources, so that nobody's bin/ is touched.
func produce(ctx context.Context) (*products, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "eru-agent-install-")
	if err != nil {
		return nil, fmt.Errorf("making a place for packages: %w", err)
	}
	sources, tag := filepath.Join(dir, "sources"), fmt.Sprintf("e2e-%d", os.Getpid())
	p := &products{dir: dir, sources: sources, tag: tag, recipe: recipe(tag)}
	for _, step := range []string{
		"mkdir " + sources,
		"cd ../.. && git ls-files -z --cached --others --exclude-standard | tar --null --files-from=- --create | tar -C " + sources + " --extract",
		"make -C " + sources + " package " + recipe(older), "mv " + sources + "/bin " + filepath.Join(dir, older),
		"make -C " + sources + " package " + recipe(newer), "mv " + sources + "/bin " + filepath.Join(dir, newer),
		"ERU_TAG=" + tag + " make -C " + sources + " image " + p.recipe,
	} {
		if out, err := exec.CommandContext(ctx, "sh", "-c", step).CombinedOutput(); err != nil {
			return nil, errors.Join(fmt.Errorf("running %q: %w: %s", step, err, out), p.remove())
		}
	}
	return p, nil
}

// remove also removes the images.
func (p *products) remove() error {
	out, err := exec.Command("sh", "-c", "docker images --format '{{.Repository}}:{{.Tag}}' --filter 'reference=eru-*:"+p.tag+"' | xargs --no-run-if-empty docker rmi --force").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("removing images: %w: %s", err, out)
	}
	return errors.Join(err, os.RemoveAll(p.dir))
}

// recipe is how make is told what to make.
func recipe(version string) string {
	return "VERSION=" + version + " COMMIT=0123456789abcdef0123456789abcdef01234567 SOURCE_DATE_EPOCH=1764000000"
}

// of is the package of a program; pattern is how its file's name goes on.
func (p *products) of(t *testing.T, version, program, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(p.dir, version, program+pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("packages of %s %s: %v, %v; want one", program, version, found, err)
	}
	return found[0]
}

// try runs a command line and returns what it printed and its exit code.
func try(t *testing.T, line string) (string, int) {
	t.Helper()
	c := exec.Command("sh", "-c", line)
	c.Env = append(os.Environ(), "DOCKER_HOST="+r.Docker())
	out, _ := c.CombinedOutput() // how it ended stands in ProcessState
	return strings.TrimSpace(string(out)), c.ProcessState.ExitCode()
}

// sh runs a command line that has to end well.
func sh(t *testing.T, line string) string {
	t.Helper()
	out, code := try(t, line)
	if code != 0 {
		t.Fatalf("%s: exit code %d\n%s", line, code, out)
	}
	return out
}
