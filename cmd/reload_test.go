package cmd

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/projecteru2/eru-agent/cmd/cli"
	"github.com/projecteru2/eru-agent/selfmon"
	"github.com/projecteru2/eru-agent/status"
)

// answering is a server that says of itself what f has, or what is no JSON.
func answering(t *testing.T, f any) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if text, ok := f.(string); ok {
			_, _ = fmt.Fprint(w, text)
			return
		}
		_ = json.NewEncoder(w).Encode(f)
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// TestReloadSignalsNobodyElse lets something other than this machine's agent
// answer at its address.
func TestReloadSignalsNobodyElse(t *testing.T) {
	withoutVariables(t)
	file, err := filepath.Abs("testdata/good/empty.yaml")
	if err != nil {
		t.Fatal(err)
	}
	here := face{Node: status.Node{Agent: status.NodeAgent{Instance: "a", Machine: cli.Machine()}}, Process: selfmon.Process{PID: 1, Namespace: namespace(), Config: file}}
	with := func(change func(f *face)) face {
		f := here
		change(&f)
		return f
	}
	for name, tt := range map[string]struct {
		says any
		args []string
		code int
		want string
	}{
		"a web server":         {"<html>", nil, 1, "is no eru-agent"},
		"other JSON":           {`{"pid":1}`, nil, 1, "is no eru-agent"},
		"another machine":      {with(func(f *face) { f.Node.Agent.Machine = "far" }), nil, 1, `runs on machine "far"`},
		"a container's agent":  {with(func(f *face) { f.Process.Namespace = "pid:[1]" }), nil, 1, "cannot be signalled from here"},
		"another file":         {with(func(f *face) { f.Process.Config = "/other.yaml" }), nil, 2, "--config /other.yaml"},
		"another PID":          {here, []string{"--pid", "2"}, 1, "is process 1, not 2"},
		"the PID of no agent":  {here, nil, 1, "process 1 runs"},
		"a PID that is nobody": {with(func(f *face) { f.Process.PID = 1 << 30 }), nil, 1, "opening process"},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"reload", "--config", file, "--api.addr", answering(t, tt.says)}, tt.args...)
			out, errs, code := runMain(t, args...)
			if code != tt.code || !strings.Contains(errs, tt.want) || out != "" {
				t.Errorf("exit code %d, output %q, errors %q; want %d and %q", code, out, errs, tt.code, tt.want)
			}
		})
	}
}

// TestReloadChecksFirst sends nothing when the file is wrong.
func TestReloadChecksFirst(t *testing.T) {
	withoutVariables(t)
	asked := false
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer s.Close()
	file := filepath.Join(t.TempDir(), "agent.yaml")
	if err := os.WriteFile(file, []byte("healthcheck:\n  timeout: never\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, errs, code := runMain(t, "reload", "--config", file, "--api.addr", strings.TrimPrefix(s.URL, "http://"))
	if want := file + `:2:12: healthcheck.timeout: got "never"`; code != cli.ExitUsage || !strings.HasPrefix(errs, want) || asked {
		t.Errorf("exit code %d, asked %t, errors %q, want %q", code, asked, errs, want)
	}
}

// TestDifference changes every key there is, one after the other.
func TestDifference(t *testing.T) {
	taken := map[string]bool{}
	newLoader().Schema().VisitAll(func(f *pflag.Flag) {
		was, is := newLoader(), newLoader()
		to := is.Schema().Lookup(f.Name)
		if err := to.Value.Set(another(f)); err != nil {
			t.Fatal(err)
		}
		changed, refused := difference(was.Schema(), is.Schema())
		if len(changed)+len(refused) != 1 {
			t.Fatalf("%s: taken %v, left %v", f.Name, changed, refused)
		}
		taken[f.Name] = len(changed) == 1
		remember(was.Schema(), is.Schema(), changed)
		changed, again := difference(was.Schema(), is.Schema())
		if len(changed) != 0 || len(again) != len(refused) {
			t.Errorf("%s, the second time: taken %v, left %v", f.Name, changed, again)
		}
	})
	for key, ok := range taken {
		if want := strings.HasPrefix(key, "healthcheck.") || key == "log.level"; ok != want {
			t.Errorf("%s: taken is %t", key, ok)
		}
	}
}

// another is a value that f does not have.
func another(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "bool":
		return fmt.Sprint(f.Value.String() == "false")
	case "duration":
		return "77s"
	case "int", "float64":
		return "77"
	default:
		return "another"
	}
}
