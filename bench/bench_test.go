package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/bench/report"
	"github.com/projecteru2/eru-agent/bench/stage"
	"github.com/projecteru2/eru-agent/bench/yardstick"
)

func TestMain(m *testing.M) {
	play()
	m.Run()
}

// programs builds what `make bench` builds, with any etcd there is.
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
	build("-tags", "grpcnotrace", "-o", bin+"/", "../cmd/eru-agent", "../e2e/web")
	if etcd, err := exec.LookPath("etcd"); err == nil {
		if err := os.Symlink(etcd, filepath.Join(bin, "etcd")); err != nil {
			t.Fatal(err)
		}
	} else {
		build("-o", filepath.Join(bin, "etcd"), "go.etcd.io/etcd/server/v3")
	}
	return bin
}

// The figures are for `make bench`; here only that each is there.
func TestEveryFigureIsMeasured(t *testing.T) {
	o, err := parse([]string{"-n", "3", "-interval", "200ms", "-span", "400ms", "-settle", "100ms", "-rounds", "1",
		"-size", "6", "-every", "200ms", "-quiet", "400ms", "-spread", "1s", "-starts", "1", "-latency", "1"})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	o.bin, o.JSON, o.svg, o.Markdown = programs(t), filepath.Join(dir, "figures.json"), filepath.Join(dir, "plot.svg"), filepath.Join(dir, "tables.md")
	var table, progress bytes.Buffer
	if err := run(t.Context(), o, &table, &progress); err != nil {
		t.Fatalf("%v\n%s%s", err, progress.String(), table.String())
	}
	t.Log(table.String())
	for _, what := range []string{
		"HTTP probe, 3 containers at 200ms", "TCP probe, 3 containers at 200ms", "net.Conn on the grid", "epoll on the grid",
		"resident memory, 6 containers", "resident memory, 30 containers",
		"Docker API calls", "etcd puts", "etcd revisions", "etcd reads", "etcd lease renewals", "context switches per probe",
		"probe starts: worst second", "probe starts: worst 100 ms", "probe starts seen",
		"start of the agent -> 6", "restart of the agent -> 6", "status events of a restart", "6 containers start in 1s",
		"one death of 6 containers by kill -9", "one death of 6 containers by Docker's word alone",
		"3 deaths in 0.1s of 6 containers by kill -9", "3 deaths in 0.1s of 6 containers by Docker's word alone",
		"3 deaths at once of 6 containers by Docker's word alone",
		"process killed -> stopped seen", "process killed -> Docker's die", "Docker's start -> healthy seen", "answer turns 500 -> unhealthy seen",
		"fenced writes of one status", "audits of 100 keys", "lease renewals by 100 nodes",
	} {
		if !strings.Contains(table.String(), what) {
			t.Errorf("the table has no row %q", what)
		}
	}
	again := bytes.Buffer{}
	if err := run(t.Context(), options{Files: report.Files{From: o.JSON}}, &again, &progress); err != nil || again.String() != table.String() {
		t.Errorf("from its JSON the table is another, error %v:\n%s", err, again.String())
	}
	if text, err := os.ReadFile(o.Markdown); err != nil || strings.Count(string(text), "one death of 6 containers") != 2 || !strings.Contains(string(text), "| http | 3 | 0.20 s |") {
		t.Errorf("the tables lack rows: %v\n%s", err, text)
	}
	if text, err := os.ReadFile(o.svg); err != nil || strings.Count(string(text), "<path") != 3 {
		t.Errorf("want three curves: %v\n%s", err, text)
	}
}

func TestEveryYardstickProbes(t *testing.T) {
	s, err := stage.Open(t.Context(), programs(t))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, kind := range []string{"http", "tcp"} {
		for _, method := range yardstick.Methods(kind) {
			t.Run(fmt.Sprintf("%s by %s", kind, method), func(t *testing.T) {
				y, err := s.Yardstick(t.Context(), method, kind, 4, 100*time.Millisecond)
				if err != nil {
					t.Fatal(err)
				}
				defer y.End()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				made, passed, begun := int64(0), int64(0), s.Board.Passed.Load()
				err = stage.Until(ctx, "a dozen probes", func() bool {
					made, passed, _ = y.Probes(ctx)
					return passed >= begun+12
				})
				if err != nil || made != passed {
					t.Errorf("%d of %d probes passed: %v", passed, made, err)
				}
			})
		}
	}
}

func TestVerdicts(t *testing.T) {
	f := report.Figure{Ours: []float64{1, 3, 2}, Stick: "theirs", Stuck: []float64{1, 2, 2}}
	for _, tt := range []struct {
		f    report.Figure
		want string
	}{
		{f, ""}, {f.AtMost(2), "met"}, {f.AtMost(1.9), "missed"}, {f.AtMostTimes(1), "met"}, {f.AtMostTimes(0.9), "missed"},
		{report.Figure{Ours: []float64{0}}.AtMost(0), "met"},
		{report.Figure{Ours: []float64{0, 1, 0}, Worst: true}.AtMost(0), "missed"},
	} {
		if got := tt.f.Verdict(); got != tt.want {
			t.Errorf("%+v is %q, want %q", tt.f, got, tt.want)
		}
	}
}

func TestQuickYieldsToOtherFlags(t *testing.T) {
	o, err := parse([]string{"-latency", "7", "-quick", "-n", "3"})
	if err != nil || o.latency != 7 || len(o.sizes) != 1 || o.rounds != 1 {
		t.Errorf("%+v, %v", o, err)
	}
}
