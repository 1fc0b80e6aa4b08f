package install

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/projecteru2/eru-agent/e2e/load"
	"github.com/projecteru2/eru-agent/e2e/rig"
)

// TestCompose does line by line what the README says under "On a Sunday, with Compose", while requests pass through HAProxy, of
// which none may fail; names, ports and tags are this test's own, and its agent sees none but its containers.
func TestCompose(t *testing.T) {
	project := fmt.Sprintf("eru-compose-%d", os.Getpid())
	port := rig.FreePort(t)
	web := "127.0.0.1:" + port
	for name, value := range map[string]string{
		"COMPOSE_PROJECT_NAME": project, "ERU_TAG": p.tag, "WEB_PORT": port, "AGENT_PORT": rig.FreePort(t), "ETCD_PORT": rig.FreePort(t),
	} {
		t.Setenv(name, value)
	}
	mine := "eru.e2e.compose=" + project
	if err := os.WriteFile(filepath.Join(p.sources, "examples/compose/compose.override.yaml"), []byte(override(mine)), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := try(t, p.sources+"/scripts/compose logs --tail=20")
			t.Logf("Compose's logs:\n%s", out)
		}
		sh(t, "docker rm --force "+project+"-typo; make -C "+p.sources+" compose-down")
		for _, what := range []string{"ps --all", "volume ls", "network ls"} {
			if out := sh(t, "docker "+what+" --quiet --filter label=com.docker.compose.project="+project); out != "" {
				t.Errorf("docker %s: %s is left", what, out)
			}
		}
	})
	replace := strings.NewReplacer("shop_", project+"_", "127.0.0.1:8080", web, ":local", ":"+p.tag, "typo", project+"-typo", "docker run", "docker run --label "+mine+" --label "+r.Mark(),
		"make compose", "make -C "+p.sources+" "+p.recipe+" compose")
	client := load.NewHTTP("http://" + web + "/")
	defer client.Close()
	var passing *load.Load
	pass := func(what string, n int, ok func(load.Request) bool) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), rig.Patience)
		defer cancel()
		for range n {
			if _, err := passing.Await(ctx, len(passing.Ended()), ok); err != nil {
				t.Fatalf("waiting for requests %s: %v", what, err)
			}
		}
	}
	anyone := func(load.Request) bool { return true }
	did := map[string]int{}
	for line := range strings.Lines(shell(t, "README.md", "On a Sunday, with Compose")) {
		line, _, _ = strings.Cut(line, "  #")
		line = strings.TrimSpace(line)
		did[strings.Join(strings.Fields(line)[:2], " ")]++
		if line == "make compose-down" { // after the last look
			continue
		}
		out, code := try(t, replace.Replace(line))
		t.Logf("$ %s\n%s", line, out)
		switch {
		case line == "make compose":
			rig.Await(t, "HAProxy to send to three containers", func() error {
				by := map[string]bool{}
				for range 6 {
					a := client.Ask(t.Context())
					if a.Failed != nil {
						return a.Failed
					}
					by[a.By] = true
				}
				if len(by) != 3 {
					return fmt.Errorf("%d containers answer", len(by))
				}
				return nil
			})
			passing = load.Start(t.Context(), 50, client.Ask)
		case strings.Contains(line, "explain"):
			rig.Await(t, line+" to name the port", func() error { // once it listens, and its first probe was refused
				if out, code := try(t, replace.Replace(line)); code != 1 || !strings.Contains(out, "nobody in the container listens on it, but on 80") {
					return fmt.Errorf("exit code %d\n%s", code, out)
				}
				return nil
			})
		case code != 0:
			t.Fatalf("%s: exit code %d", line, code)
		default:
			pass("after "+line, 20, anyone)
		}
	}
	for _, want := range []string{"make compose", "docker kill", "docker stop", "docker run", "docker exec", "make compose-down"} {
		if did[want] == 0 {
			t.Errorf("the README has no %s", want)
		}
	}
	sh(t, "docker stop "+project+"_agent_1")
	pass("after the agent's end", 100, anyone)
	requests := passing.Stop()
	if failed := requests.Failed(); len(failed) > 0 {
		t.Errorf("%d of %d requests failed: %s", len(failed), len(requests), requests.Why())
	}
}

// override has the agent see only what bears the label mine, as the web servers do, and marks all that Compose makes.
func override(mine string) string {
	mark := fmt.Sprintf("{labels: [%q]}", r.Mark())
	return fmt.Sprintf("services:\n  web: {labels: [%q, %q]}\n", mine, r.Mark()) +
		fmt.Sprintf("  agent: {environment: {ERU_AGENT_DOCKER_SELECT: %q}, labels: [%q]}\n", mine, r.Mark()) +
		"  etcd: " + mark + "\n  haproxy: " + mark + "\n  eru-lb: " + mark + "\n" +
		"volumes:\n  runtime: " + mark + "\n  state: " + mark + "\nnetworks:\n  default: " + mark + "\n"
}
