package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/projecteru2/eru-agent/bench/report"
)

func TestMain(m *testing.M) {
	play()
	m.Run()
}

// programs builds what `make bench-selfmon` builds, with any etcd there is.
func programs(ctx context.Context, t *testing.T) string {
	t.Helper()
	bin := t.TempDir()
	c := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", "grpcnotrace", "-o", bin+"/", "../../cmd/eru-agent")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("building the agent: %v: %s", err, out)
	}
	etcd, err := exec.LookPath("etcd")
	if err != nil {
		t.Fatalf("this test needs etcd as a program (Debian: apt-get install etcd-server): %v", err)
	}
	if err := os.Symlink(etcd, filepath.Join(bin, "etcd")); err != nil {
		t.Fatal(err)
	}
	return bin
}

// The figures are for `make bench-selfmon`; here only that each is there, and that
// nobody was cut who should not have been.
func TestEveryFigureIsMeasured(t *testing.T) {
	o, err := parse([]string{"-n", "48", "-containers", "3", "-racks", "6", "-ttl", "2s", "-quiet", "1s", "-interval", "1s"})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	o.bin, o.JSON, o.Markdown = programs(t.Context(), t), filepath.Join(dir, "figures.json"), filepath.Join(dir, "tables.md")
	var table, progress bytes.Buffer
	if err := run(t.Context(), o, &table, &progress); err != nil {
		t.Fatalf("%v\n%s%s", err, progress.String(), table.String())
	}
	t.Log(table.String())
	r, err := report.Read(o.JSON)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(o.Markdown)
	if err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{
		"until all are healthy", "requests to etcd a second", "keys written in 1s", "CPU of etcd's three members for each node",
		"CPU of the monitor", "memory of the monitor", "CPU of an agent that is not", "one reading of all 144 keys", "1 of 48 nodes dead: until their 3 containers are lost",
		"10 of 48 nodes dead: until their 30 containers are lost", "etcd frozen for 4s", "election among", "nodes dead together: cut in 6s",
	} {
		if !strings.Contains(table.String(), what) || !strings.Contains(string(text), what) {
			t.Errorf("the tables have no row %q", what)
		}
	}
	for _, f := range r.Figures {
		if strings.Contains(f.What, "wrong cuts") && f.Value() != 0 || strings.Contains(f.What, "dead together") && f.Value() != 0 {
			t.Errorf("%s: %v", f.What, f.Value())
		}
	}
}

func TestOptions(t *testing.T) {
	for args, want := range map[string]string{
		"-n 20":                "-n 20: ten that die together",
		"-racks 7":             "-racks: want 4 to 6",
		"-racks 3":             "-racks: want 4 to 6",
		"-n 1000 -racks 6":     "",
		"-n 3000 -racks 4":     "want more -racks",
		"-n 33 -containers 10": "",
		"more":                 `unexpected "more"`,
	} {
		_, err := parse(strings.Fields(args))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", args, err, want)
		}
	}
}
