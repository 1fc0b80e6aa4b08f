package cli

import (
	"bytes"
	"encoding/json"
	"runtime"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// ask runs "program version" with args.
func ask(t *testing.T, args ...string) (string, string, int) {
	t.Helper()
	var out, errs bytes.Buffer
	root := Tree(&cobra.Command{Use: "program"}, NewVersion("program"))
	code := Main(t.Context(), root, append([]string{"version"}, args...), &out, &errs)
	return out.String(), errs.String(), code
}

func TestVersion(t *testing.T) {
	out, errs, code := ask(t)
	if code != ExitWell || errs != "" || !strings.HasPrefix(out, "program dev (") || !strings.HasSuffix(out, runtime.Version()+", "+runtime.GOOS+"/"+runtime.GOARCH+")\n") {
		t.Errorf("exit code %d, errors %q, output %q", code, errs, out)
	}
	out, errs, code = ask(t, "--output", "json")
	var b Build
	if err := json.Unmarshal([]byte(out), &b); err != nil || code != ExitWell || errs != "" || b != ReadBuild() {
		t.Errorf("exit code %d, errors %q, output %q, %v", code, errs, out, err)
	}
	out, errs, code = ask(t, "-o", "yaml")
	if code != ExitUsage || out != "" || errs != "--output: got \"yaml\", want text or json\n" {
		t.Errorf("exit code %d, errors %q, output %q", code, errs, out)
	}
}

func TestBuildForPeople(t *testing.T) {
	b := Build{Version: "v1.2.3", Commit: "41dd43f", Date: "2026-11-25T08:06:39Z", Go: "go1.26.8", Platform: "linux/amd64"}
	if got, want := b.String(), "v1.2.3 (commit 41dd43f of 2026-11-25T08:06:39Z, go1.26.8, linux/amd64)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := (Build{Version: "dev", Go: "go1.26.8", Platform: "linux/amd64"}).String(), "dev (no commit, go1.26.8, linux/amd64)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
