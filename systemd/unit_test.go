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

// installed lays the unit out as `make install` would, with an ExecStart that exists here: verify insists on that.
func installed(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	unit := bytes.Replace(read(t, "eru-agent.service"), []byte("/usr/local/bin/eru-agent"), []byte(self), 1)
	path := filepath.Join(dir, "eru-agent.service")
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

func TestUnitVerifies(t *testing.T) {
	if out := analyze(t, "verify", "--man=no", "--recursive-errors=no", installed(t)); out != "" {
		t.Errorf("systemd-analyze verify has something to say:\n%s", out)
	}
}

func TestUnitExposure(t *testing.T) {
	out := analyze(t, "security", "--offline=true", "--no-pager", installed(t))
	m := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no exposure level in:\n%s", out)
	}
	if level, err := strconv.ParseFloat(m[1], 64); err != nil || level > 2.0 {
		t.Errorf("exposure %s, want 2.0 or better:\n%s", m[1], out)
	}
}

func TestSysusers(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	conf, err := filepath.Abs("eru-agent.sysusers.conf")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("systemd-sysusers", "--root="+root, conf).CombinedOutput(); err != nil {
		t.Fatalf("systemd-sysusers: %v\n%s", err, out)
	}
	passwd, group := string(read(t, filepath.Join(root, "etc/passwd"))), string(read(t, filepath.Join(root, "etc/group")))
	if !regexp.MustCompile(`(?m)^eru-agent:.*nologin$`).MatchString(passwd) {
		t.Errorf("no account eru-agent without login in:\n%s", passwd)
	}
	for _, g := range []string{"eru-agent", "docker"} {
		if !regexp.MustCompile(`(?m)^` + g + `:`).MatchString(group) {
			t.Errorf("no group %s in:\n%s", g, group)
		}
	}
}
