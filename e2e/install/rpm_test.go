package install

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// output is what a command prints.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestRPM reads the packages with rpm itself and lets it lay them out; there is no system of that kind to install them on, but
// their scripts are those of the Debian packages, called with rpm's numbers.
func TestRPM(t *testing.T) {
	for program, config := range map[string]string{"eru-agent": "/etc/eru/agent.yaml", "eru-lb": "/etc/eru/lb.yaml"} {
		file := p.of(t, older, program, "-[0-9]*.rpm")
		files := strings.Fields(output(t, "rpm", "--query", "--package", "--list", file))
		for _, path := range []string{
			"/usr/bin/" + program, "/usr/lib/systemd/system/" + program + ".service", "/usr/lib/sysusers.d/" + program + ".conf", config,
			"/usr/share/man/man1/" + program + ".1.gz", "/usr/share/bash-completion/completions/" + program, "/usr/share/zsh/site-functions/_" + program,
			"/usr/share/fish/vendor_completions.d/" + program + ".fish", "/usr/share/doc/" + program + "/copyright",
		} {
			if !slices.Contains(files, path) {
				t.Errorf("%s has no %s, only\n%s", file, path, strings.Join(files, "\n"))
			}
		}
		flags := output(t, "rpm", "--query", "--package", "--queryformat", `[%{FILENAMES} %{FILEFLAGS:fflags}\n]`, file)
		if !strings.Contains(flags, config+" cn\n") {
			t.Errorf("%s is no config(noreplace) of %s:\n%s", config, file, flags)
		}
		root := t.TempDir()
		output(t, "rpm", "--root", root, "--install", "--nodeps", "--noscripts", file)
		if out := output(t, "rpm", "--root", root, "--verify", "--nodeps", program); out != "" {
			t.Errorf("laid out by rpm, %s differs from its own list:\n%s", program, out)
		}
		if out := output(t, filepath.Join(root, "usr/bin", program), "version"); !strings.HasPrefix(out, program+" "+older+" ") {
			t.Errorf("%s says it is %s", program, out)
		}
		output(t, "rpm", "--root", root, "--erase", "--nodeps", "--noscripts", program)
	}
}

// TestRPMScripts runs the scripts of the packages in the order and with the numbers of rpm, on a host with systemd.
func TestRPMScripts(t *testing.T) {
	h := newHost(t)
	h.install(older, "eru-agent") // for its files
	h.write("/etc/eru/agent.yaml", alone)
	file := p.of(t, newer, "eru-agent", "-[0-9]*.rpm")
	for _, name := range []string{"postin", "preun", "postun"} {
		h.write("/root/"+name, output(t, "rpm", "--query", "--package", "--queryformat", "%{"+name+"}", file))
	}
	h.do("sh /root/postin 1")
	h.want(mainPID, "0")
	h.do("systemctl enable eru-agent && systemctl start --no-block eru-agent")
	first := h.awaitOther("0")
	h.do("sh /root/postin 2")
	second := h.awaitOther(first)
	h.do("sh /root/preun 1 && sh /root/postun 1") // of the former version, as rpm has it
	h.want(mainPID, second)
	h.do("sh /root/preun 0 && sh /root/postun 0")
	h.want("systemctl is-active eru-agent", "inactive")
	h.want("systemctl is-enabled eru-agent", "disabled")
}
