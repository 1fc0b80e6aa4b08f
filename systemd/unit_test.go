package systemd

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// analyze runs systemd-analyze and returns what it printed. Its absence is a failure: the unit would go unchecked.
func analyze(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("systemd-analyze", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("systemd-analyze %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func version(t *testing.T) int {
	t.Helper()
	m := regexp.MustCompile(`^systemd (\d+)`).FindStringSubmatch(analyze(t, "--version"))
	if m == nil {
		t.Fatal("systemd-analyze --version names no version")
	}
	v, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// installed lays the unit of a program out as `make install` would, with an ExecStart that exists here: verify insists on
// that.
func installed(t *testing.T, program string) string {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	unit := bytes.ReplaceAll(read(t, program+".service"), []byte("/usr/local/bin/"+program), []byte(self))
	path := filepath.Join(dir, program+".service")
	if err := os.WriteFile(path, unit, 0o644); err != nil {
		t.Fatal(err)
	}
	if version(t) >= 254 {
		if err := os.Mkdir(path+".d", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(path+".d", "backoff.conf"), read(t, "backoff.conf"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// units calls test for the unit of each program.
func units(t *testing.T, test func(t *testing.T, program string)) {
	t.Helper()
	for _, program := range []string{"eru-agent", "eru-lb"} {
		t.Run(program, func(t *testing.T) { test(t, program) })
	}
}

func TestUnitVerifies(t *testing.T) {
	units(t, func(t *testing.T, program string) {
		if out := analyze(t, "verify", "--man=no", "--recursive-errors=no", installed(t, program)); out != "" {
			t.Errorf("systemd-analyze verify has something to say:\n%s", out)
		}
	})
}

func TestUnitExposure(t *testing.T) {
	units(t, func(t *testing.T, program string) {
		out := analyze(t, "security", "--offline=true", "--no-pager", installed(t, program))
		m := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`).FindStringSubmatch(out)
		if m == nil {
			t.Fatalf("no exposure level in:\n%s", out)
		}
		if level, err := strconv.ParseFloat(m[1], 64); err != nil || level > 2.0 {
			t.Errorf("exposure %s, want 2.0 or better:\n%s", m[1], out)
		}
	})
}

// TestNetnsDropIn looks at the unit with the drop-in that gives the capabilities to probe from inside.
func TestNetnsDropIn(t *testing.T) {
	path := installed(t, "eru-agent")
	if err := os.MkdirAll(path+".d", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(path+".d", "netns.conf"), read(t, "netns.conf"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out := analyze(t, "verify", "--man=no", "--recursive-errors=no", path); out != "" {
		t.Errorf("systemd-analyze verify has something to say:\n%s", out)
	}
	out := analyze(t, "security", "--offline=true", "--no-pager", path)
	for line := range strings.Lines(out) {
		name, _, _ := strings.Cut(strings.TrimLeft(line, "✓✗ "), " ")
		given := strings.HasPrefix(name, "CapabilityBoundingSet=~CAP_SYS_ADMIN") || strings.HasPrefix(name, "CapabilityBoundingSet=~CAP_SYS_PTRACE") ||
			name == "RestrictNamespaces=~net" || name == "AmbientCapabilities="
		if opened := strings.HasPrefix(line, "✗"); opened != given && (given || strings.Contains(name, "CAP_") || strings.HasPrefix(name, "RestrictNamespaces=")) {
			t.Errorf("%s", line)
		}
	}
	m := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no exposure level in:\n%s", out)
	}
	if level, err := strconv.ParseFloat(m[1], 64); err != nil || level > 2.4 {
		t.Errorf("exposure %s, want 2.4 or better", m[1])
	}
}

func TestSysusers(t *testing.T) {
	units(t, func(t *testing.T, program string) {
		root := t.TempDir()
		if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
			t.Fatal(err)
		}
		conf, err := filepath.Abs(program + ".sysusers.conf")
		if err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("systemd-sysusers", "--root="+root, conf).CombinedOutput(); err != nil {
			t.Fatalf("systemd-sysusers: %v\n%s", err, out)
		}
		passwd, group := string(read(t, filepath.Join(root, "etc/passwd"))), string(read(t, filepath.Join(root, "etc/group")))
		if !regexp.MustCompile(`(?m)^` + program + `:.*nologin$`).MatchString(passwd) {
			t.Errorf("no account %s without login in:\n%s", program, passwd)
		}
		service := map[string]string{"eru-agent": "docker", "eru-lb": "haproxy"}[program]
		for _, g := range []string{program, service} {
			if !regexp.MustCompile(`(?m)^` + g + `:`).MatchString(group) {
				t.Errorf("no group %s in:\n%s", g, group)
			}
		}
	})
}
