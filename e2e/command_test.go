package e2e

import (
	"encoding/json"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// TestStatusCommand shows a node's containers as a person and a program see them.
func TestStatusCommand(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	n := r.Node(t, etcd)
	here := []string{"status", "--etcd.endpoints", etcd.Endpoint(), "--etcd.prefix", n.Prefix}
	ask := func(flags ...string) string {
		t.Helper()
		out, errs, code := r.Exec(t, append(here, flags...)...)
		if code != 0 || errs != "" {
			t.Errorf("status %v: %d, %s", flags, code, errs)
		}
		return out
	}
	nothing := "no containers in etcd at " + etcd.Endpoint() + " under " + n.Prefix + "; "
	if got := ask(); !strings.Contains(got, nothing) {
		t.Errorf("of nothing it says %q", got)
	}
	if out, errs, _ := r.Exec(t, append(here, "-o", "json")...); !json.Valid([]byte(out)) || !strings.HasPrefix(errs, nothing) {
		t.Errorf("of nothing, in JSON, it says %q and beside it %q", out, errs)
	}
	a := n.Start().AwaitReady()
	shop, api := n.Run("shop", rig.HTTP), n.Run("api", rig.HTTP)
	shop.Await("healthy")
	api.Await("healthy")
	api.Behave("500")
	api.Await("unhealthy")

	table := ask()
	for _, line := range []string{
		`(?m)^STATE +APP +ENTRYPOINT +NODE +CONTAINER +ENDPOINTS +FOR +WHY$`,
		`(?m)^healthy +shop +web +` + n.Name + ` +` + shop.Name + ` ` + shop.ID[:12] + ` +80→` + shop.Address("") + `:80 +\d+s *$`,
		`(?m)^unhealthy +api +web +` + n.Name + ` +` + api.Name + ` ` + api.ID[:12] + ` +80→` + api.Address("") + `:80 +\d+s +http_code http :80/: 500, want 200-399$`,
	} {
		if !regexp.MustCompile(line).MatchString(table) {
			t.Errorf("no line %s in\n%s", line, table)
		}
	}
	if got := ask("--app", "shop"); strings.Contains(got, "api") {
		t.Errorf("--app shop shows\n%s", got)
	}
	if got := ask("--node", "nobody"); strings.Contains(got, "shop") {
		t.Errorf("--node nobody shows\n%s", got)
	}
	checkDocument(t, ask("-o", "json"), n, shop)
	watchTwo(t, here, n, shop)

	a.Signal(syscall.SIGTERM)
	want(t, "exit code", a.Wait(), 0)
	if got := ask(); !strings.Contains(got, n.Name+" (stopping)") {
		t.Errorf("of an agent that was stopped it says\n%s", got)
	}
}

func checkDocument(t *testing.T, text string, n *rig.Node, shop *rig.Container) {
	t.Helper()
	var document struct {
		Containers []struct {
			App, Entrypoint, Node string
			Status                rig.Status
		}
		Nodes map[string]struct{ Nodename string }
	}
	if err := json.Unmarshal([]byte(text), &document); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if len(document.Containers) != 2 || document.Nodes[n.Name].Nodename != n.Name {
		t.Fatalf("the document is %s", text)
	}
	last := document.Containers[1]
	if last.App != "shop" || last.Entrypoint != "web" || last.Node != n.Name || last.Status.ID != shop.ID || !last.Status.Healthy {
		t.Errorf("the last container is %+v", last)
	}
}

// watchTwo follows changes as lines and as JSON.
func watchTwo(t *testing.T, here []string, n *rig.Node, shop *rig.Container) {
	t.Helper()
	lines := r.Launch(t, append(here, "-w")...)
	objects := r.Launch(t, append(here, "-w", "-o", "json")...)
	lines.AwaitOut("healthy   shop/web " + n.Name + " " + shop.Name)
	objects.AwaitOut(`"change":"put"`)
	shop.Behave("503")
	lines.AwaitOut("unhealthy shop/web " + n.Name + " " + shop.Name + " http_code")
	shop.Docker("rm", "--force")
	lines.AwaitOut("gone      shop/web " + n.Name + " " + shop.ID[:12])
	line := objects.AwaitOut(`"change":"deleted"`)
	var gone struct{ Change, App, Entrypoint, Node, ID string }
	if err := json.Unmarshal([]byte(line), &gone); err != nil || gone.ID != shop.ID || gone.App != "shop" {
		t.Errorf("%v: %s", err, line)
	}
	for _, p := range []*rig.Process{lines, objects} {
		p.Signal(syscall.SIGINT)
		want(t, "exit code", p.Wait(), 0)
	}
}

// TestProbeCommand probes by hand, without any etcd.
func TestProbeCommand(t *testing.T) {
	t.Parallel()
	n := r.Node(t, etcdtest.Start(t)) // for its containers alone
	c := n.Run("shop", rig.HTTP, "--label=eru.health.tcp.ports=80")
	probe := []string{"probe", "--docker.endpoint", r.Docker()}
	c.Behave("ok") // returns when it serves
	out, errs, code := r.Exec(t, append(probe, c.Name)...)
	want(t, "exit code", code, 0)
	for _, line := range []string{
		"(?m)^" + c.Name + " " + c.ID[:12] + " at " + c.Address("") + "$",
		`(?m)^  http :80/ +pass +connect [\d.]+ms  write [\d.]+ms  first byte [\d.]+ms  total [\d.]+ms *$`,
		`(?m)^  tcp :80 +pass +connect [\d.]+ms  total [\d.]+ms *$`, `(?m)^healthy$`,
	} {
		if !regexp.MustCompile(line).MatchString(out) {
			t.Errorf("no line %s in\n%s%s", line, out, errs)
		}
	}
	c.Behave("500")
	out, _, code = r.Exec(t, append(probe, "-o", "json", c.ID[:12])...)
	want(t, "exit code", code, 1)
	var report struct {
		ID, Name, Address, Summary string
		Healthy                    bool
		Verdicts                   []struct {
			Pass                  bool
			Reason, Detail, Probe string
		}
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if report.ID != c.ID || report.Healthy || len(report.Verdicts) != 2 || report.Verdicts[0].Reason != "http_code" || !report.Verdicts[1].Pass {
		t.Errorf("the report is %s", out)
	}
	wrong := n.Run("wrong", "--label=eru.health.http.port=eighty")
	out, _, code = r.Exec(t, append(probe, wrong.ID)...)
	if code != 1 || !strings.Contains(out, `invalid: eru.health.http.port="eighty"`) {
		t.Errorf("of an invalid label it says %d, %s", code, out)
	}
	_, errs, code = r.Exec(t, append(probe, "nobody-of-that-name")...)
	if code != 1 || !strings.Contains(errs, `"nobody-of-that-name" in Docker at "`+r.Docker()+`": there is none`) {
		t.Errorf("of nobody it says %d, %s", code, errs)
	}
	c.Docker("stop", "--time=1")
	_, errs, code = r.Exec(t, append(probe, c.ID)...)
	if code != 1 || !strings.Contains(errs, "it does not run") {
		t.Errorf("of a stopped one it says %d, %s", code, errs)
	}
}

// TestOtherCommands runs what needs neither Docker nor etcd.
func TestOtherCommands(t *testing.T) {
	t.Parallel()
	out, _, code := r.Exec(t, "version")
	if code != 0 || !regexp.MustCompile(`^eru-agent `+regexp.QuoteMeta(rig.Version)+` \(no commit, go1\.\d+(\.\d+)?, linux/\w+\)\n$`).MatchString(out) {
		t.Errorf("version: %d, %s", code, out)
	}
	out, errs, code := r.Exec(t, "check-config", "--node", "here", "../agent.yaml.example")
	for _, line := range []string{`(?m)^node +here +--node$`, `(?m)^etcd.prefix +/eru +\.\./agent\.yaml\.example:\d+:\d+$`, `(?m)^pod +- +default$`} {
		if code != 0 || !regexp.MustCompile(line).MatchString(out) {
			t.Errorf("check-config: %d, no line %s in\n%s%s", code, line, out, errs)
		}
	}
	_, errs, code = r.Exec(t, "check-config", "nowhere.yaml")
	if code != 2 || !strings.Contains(errs, "nowhere.yaml: no such file") {
		t.Errorf("check-config of no file: %d, %s", code, errs)
	}
	out, errs, code = r.Exec(t, "completion", "bash")
	if code != 0 {
		t.Fatalf("completion: %d, %s", code, errs)
	}
	shell := exec.Command("bash", "-n")
	shell.Stdin = strings.NewReader(out)
	if said, err := shell.CombinedOutput(); err != nil {
		t.Errorf("bash does not take the completion: %v: %s", err, said)
	}
}
