// Package reader holds the reader in Python to the conformance vectors. How it follows a real etcd is tested in
// package e2e.
package reader

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// run runs the vectors with the reader in dir, and returns what was printed.
func run(t *testing.T, dir string) (string, error) {
	t.Helper()
	vectors, err := filepath.Abs("../../status/testdata/vectors")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "python3", "-B", filepath.Join(dir, "vectors.py"), vectors)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestVectors(t *testing.T) {
	out, err := run(t, ".")
	if err != nil || !strings.HasSuffix(out, " cases agree\n") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestVectorsCanFail breaks one rule after the other, which the vectors have to notice.
func TestVectorsCanFail(t *testing.T) {
	for name, change := range map[string][3]string{
		"no panic":            {"reader.py", "doubtful / (doubtful + serving) > share", "False"},
		"no hold":             {"reader.py", "now < self.since + hold", "False"},
		"unhealthy stays":     {"reader.py", "if s.healthy:\n            return SERVING", "if s.running:\n            return SERVING"},
		"an empty list":       {"reader.py", "not past and containers", "True"},
		"old values":          {"reader.py", "what.seq >= old", "True"},
		"never believed":      {"reader.py", "BELIEVE_AFTER = 120", "BELIEVE_AFTER = 1e9"},
		"taken addresses":     {"reader.py", "not living.isdisjoint(c.status.addresses())", "False"},
		"another life":        {"reader.py", "self.passed, self.since = False, None", "pass"},
		"any size":            {"value.py", "len(value) > MOST", "False"},
		"any version":         {"value.py", "not 0 <= fields.get(\"v\", 0) <= VERSION", "False"},
		"any address":         {"value.py", "ip.is_multicast", "False"},
		"contradictions":      {"value.py", "state not in (\"healthy\", \"\")", "False"},
		"a copy without sets": {"reader.py", "c.inside, c.left, c.passed = entry", "_ = entry"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, file := range []string{"reader.py", "value.py", "vectors.py"} {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				broken := string(text)
				if file == change[0] {
					if broken = strings.Replace(broken, change[1], change[2], 1); broken == string(text) {
						t.Fatalf("%s has no %q", file, change[1])
					}
				}
				if err := os.WriteFile(filepath.Join(dir, file), []byte(broken), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if out, err := run(t, dir); err == nil {
				t.Errorf("nothing was noticed: %s", out)
			}
		})
	}
}

// interrupted replaces a file, and is interrupted when the new one is in place.
const interrupted = `
import os, sys
import follow
rename = os.replace
def late(a, b):
    rename(a, b)
    raise KeyboardInterrupt
os.replace = late
try:
    follow.replace(sys.argv[1], "new")
except KeyboardInterrupt:
    sys.exit(open(sys.argv[1]).read() != "new")
`

// TestInterrupted holds that the end of follow.py at an unlucky moment is its end, and no other error.
func TestInterrupted(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "python3", "-B", "-c", interrupted, filepath.Join(t.TempDir(), "upstream.conf")).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
