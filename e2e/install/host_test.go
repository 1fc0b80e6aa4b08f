package install

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/projecteru2/eru-agent/e2e/rig"
)

// debian is the image of a Debian that runs systemd.
var debian = sync.OnceValues(func() (string, error) {
	archive, err := exec.Command("../../scripts/debian-root").Output()
	if err != nil {
		return "", fmt.Errorf("making a Debian (needs debootstrap; make test-package sets it up): %w", err)
	}
	image, err := exec.Command("docker", "--host", r.Docker(), "import", "--change", "LABEL "+r.Mark(), strings.TrimSpace(string(archive))).Output()
	return strings.TrimSpace(string(image)), err
})

// host is a Debian with systemd as its first process, on this machine's network and Docker.
type host struct {
	t  *testing.T
	id string
}

// newHost boots one, which ends with the test.
func newHost(t *testing.T) *host {
	t.Helper()
	image, err := debian()
	if err != nil {
		t.Fatal(err)
	}
	h := &host{t: t}
	h.id = r.Command(t, "run", "--detach", "--label", r.Mark(), "--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN", "--cap-add", "SYS_PTRACE",
		"--security-opt", "seccomp=unconfined", "--cgroupns=host", "--volume", "/sys/fs/cgroup:/sys/fs/cgroup", "--tmpfs", "/run", "--network", "host",
		"--volume", p.dir+":/packages:ro", "--volume", "/var/run/docker.sock:/docker.sock", "--stop-signal", "RTMIN+3", image, "/sbin/init")
	t.Cleanup(func() {
		if t.Failed() {
			out, _, _ := h.try("journalctl --no-pager --lines=40 --unit eru-agent --unit eru-lb; systemctl --no-pager list-jobs")
			t.Logf("the host's journal ends with:\n%s", out)
		}
		r.Command(t, "rm", "--force", "--volumes", h.id)
	})
	rig.Await(t, "systemd to be up", func() error {
		out, _, code := h.try("systemctl is-system-running")
		if code != 0 {
			return fmt.Errorf("it is %s", out)
		}
		return nil
	})
	// As where Docker is installed: its group is there and may use its socket.
	h.do("groupadd --gid $(stat --format=%g /docker.sock) docker")
	return h
}

// in is the host in a subtest.
func (h *host) in(t *testing.T) *host { return &host{t: t, id: h.id} }

// try runs a command line and returns what it printed, what it complained of, and its exit code.
func (h *host) try(line string) (string, string, int) {
	h.t.Helper()
	c := exec.Command("docker", "--host", r.Docker(), "exec", h.id, "sh", "-c", line)
	var out, errs strings.Builder
	c.Stdout, c.Stderr = &out, &errs
	_ = c.Run() // how it ended stands in ProcessState
	return strings.TrimSpace(out.String()), strings.TrimSpace(errs.String()), c.ProcessState.ExitCode()
}

// do runs a command line that has to end well, and returns what it printed.
func (h *host) do(line string) string {
	h.t.Helper()
	out, errs, code := h.try(line)
	if code != 0 {
		h.t.Fatalf("%s: exit code %d\n%s\n%s", line, code, out, errs)
	}
	return out
}

// want runs a command line and fails the test if it prints something else.
func (h *host) want(line, want string) {
	h.t.Helper()
	if out, errs, _ := h.try(line); out != want {
		h.t.Errorf("%s: it says %q (%s), want %q", line, out, errs, want)
	}
}

// answers runs a command line and fails the test unless it ends with a code and says a text.
func (h *host) answers(line string, code int, text string) {
	h.t.Helper()
	out, errs, got := h.try(line)
	if said := strings.TrimSpace(out + "\n" + errs); got != code || !strings.Contains(said, text) {
		h.t.Errorf("%s: exit code %d, it says %q; want %d and %q", line, got, said, code, text)
	}
}

// journal returns what the agent's unit has said since the last call, without single verdicts.
func (h *host) journal() string {
	h.t.Helper()
	return h.do("journalctl --sync && journalctl --unit eru-agent --output cat --no-pager --cursor-file /root/read | grep --invert-match DEBUG; true")
}

// install installs the .deb of a program as a person would.
func (h *host) install(version, program string) string {
	h.t.Helper()
	file, err := filepath.Rel(p.dir, p.of(h.t, version, program, "_*.deb"))
	if err != nil {
		h.t.Fatal(err)
	}
	return h.do("DEBIAN_FRONTEND=noninteractive dpkg --install /packages/" + file + " 2>&1")
}

// write writes a file.
func (h *host) write(path, text string) {
	h.t.Helper()
	from := filepath.Join(h.t.TempDir(), "file")
	if err := os.WriteFile(from, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
	r.Command(h.t, "cp", from, h.id+":/new")
	h.do("cat /new >" + path + " && rm /new") // owner and mode stay the package's
}
