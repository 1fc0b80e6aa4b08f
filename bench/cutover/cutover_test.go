package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/projecteru2/eru-agent/bench/report"
	"github.com/projecteru2/eru-agent/e2e/proxy"
)

func TestMain(m *testing.M) {
	play()
	m.Run()
}

const root = "../.."

// programs builds what `make bench-cutover` builds, with any etcd there is.
func programs(t *testing.T) string {
	t.Helper()
	bin := t.TempDir()
	build := func(args ...string) {
		c := exec.CommandContext(t.Context(), "go", append([]string{"build", "-trimpath"}, args...)...)
		c.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("building %v: %v: %s", args, err, out)
		}
	}
	build("-tags", "grpcnotrace", "-o", bin+"/", root+"/cmd/eru-agent", root+"/cmd/eru-lb", root+"/e2e/web")
	etcd, err := exec.LookPath("etcd")
	if err == nil {
		err = os.Symlink(etcd, filepath.Join(bin, "etcd"))
	}
	if err == nil {
		err = proxy.BuildConfd(t.Context(), root, filepath.Join(bin, "confd"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// The times are for `make bench-cutover`. Here each figure is there, and those that are no times hold: no request fails, no
// healthy server is missed.
func TestEveryFigureIsMeasured(t *testing.T) {
	o, err := parse([]string{"-rounds", "1", "-others", "1", "-unhealthy", "1", "-puts", "1", "-interval", "200ms", "-away", "2s",
		"-servers", "3", "-rate", "100", "-backends", "4", "-changes", "10", "-scale", "1s", "-root", root})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	o.bin, o.JSON, o.Markdown = programs(t), filepath.Join(dir, "figures.json"), filepath.Join(dir, "tables.md")
	var table, progress bytes.Buffer
	if err := run(t.Context(), o, &table, &progress); err != nil {
		t.Fatalf("%v\n%s%s", err, progress.String(), table.String())
	}
	t.Log(table.String())
	r, err := report.Read(o.JSON)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Figures {
		counts := strings.HasPrefix(f.What, "requests that failed") || strings.HasPrefix(f.What, "looks at the set")
		if counts && f.LimitOf != "" && f.Verdict() != "met" {
			t.Errorf("%s, %s, %s: %v, %s", f.Of, f.Group, f.What, f.Value(), f.Note)
		}
	}
	for what, times := range map[string]int{
		"requests that failed": 22, "longest request": 21, "99 of 100 requests": 17, "kill -> HAProxy has applied it": 4, "docker stop -> HAProxy has applied it": 4,
		"drain -> HAProxy has applied it": 1, "failing -> last request": 3, "etcd put -> last request to it, median": 3, "etcd put -> last request to it, 99th": 3,
		"looks at the set": 4, "things are back": 4, "servers that still get requests": 1, "eru_lb_service_panic": 1,
		"eru-lb's CPU": 1, "eru-lb's memory": 1, "etcd put -> applied in HAProxy": 3,
	} {
		n := 0
		for _, f := range r.Figures {
			if strings.HasPrefix(f.What, what) {
				n++
			}
		}
		if n != times {
			t.Errorf("%d figures of %q, want %d", n, what, times)
		}
	}
	again := bytes.Buffer{}
	if err := run(t.Context(), options{Files: report.Files{From: o.JSON}}, &again, &progress); err != nil || again.String() != table.String() {
		t.Errorf("from its JSON the table is another, error %v:\n%s", err, again.String())
	}
	if err := os.WriteFile(o.Markdown, []byte("before\n<!-- measured -->\nold\n<!-- end of measured -->\nafter\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.Markdown(o.Markdown); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(o.Markdown); err != nil || strings.Count(string(text), "| process killed |") != 1 || strings.Contains(string(text), "old") ||
		!strings.HasPrefix(string(text), "before\n") || !strings.HasSuffix(string(text), "\nafter\n") {
		t.Errorf("the tables lack rows: %v\n%s", err, text)
	}
}

func TestQuickYieldsToOtherFlags(t *testing.T) {
	o, err := parse([]string{"-puts", "7", "-quick", "-only", "nginx,panic"})
	if err != nil || o.puts != 7 || o.rounds != 3 || o.wants("haproxy") || !o.wants("panic") {
		t.Errorf("%+v, %v", o, err)
	}
	if _, err := parse([]string{"-only", "apache"}); err == nil {
		t.Error("a group that there is not is taken")
	}
}
