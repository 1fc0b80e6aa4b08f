package install

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// The versions that are made, one of which is newer.
const (
	older = "v0.1.0"
	newer = "v0.2.0"
)

// products are the packages of both versions.
type products struct{ dir string }

// produce makes them of a copy of these sources, so that nobody's bin/ is touched.
func produce(ctx context.Context) (*products, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "eru-agent-install-")
	if err != nil {
		return nil, fmt.Errorf("making a place for packages: %w", err)
	}
	sources := filepath.Join(dir, "sources")
	for _, step := range []string{
		"mkdir " + sources,
		"cd ../.. && git ls-files -z --cached --others --exclude-standard | tar --null --files-from=- --create | tar -C " + sources + " --extract",
		recipe(sources, older), "mv " + sources + "/bin " + filepath.Join(dir, older),
		recipe(sources, newer), "mv " + sources + "/bin " + filepath.Join(dir, newer),
	} {
		if out, err := exec.CommandContext(ctx, "sh", "-c", step).CombinedOutput(); err != nil {
			_ = os.RemoveAll(dir)
			return nil, fmt.Errorf("running %q: %w: %s", step, err, out)
		}
	}
	return &products{dir: dir}, nil
}

// recipe is the command line that makes the packages of one version.
func recipe(sources, version string) string {
	return "make -C " + sources + " package VERSION=" + version + " COMMIT=0123456789abcdef0123456789abcdef01234567 SOURCE_DATE_EPOCH=1764000000"
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
