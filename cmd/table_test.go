package cmd

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/cmd/cli"
	"github.com/projecteru2/eru-agent/healthcheck"
	"github.com/projecteru2/eru-agent/status"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares what is shown with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
	}
}

var now = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)

// fleet is a view with every state, on nodes of every kind.
func fleet() status.Tree {
	v := status.NewTree()
	for _, n := range []status.Node{
		{Nodename: "n1", Alive: true, Agent: status.NodeAgent{State: status.NodeRunning}},
		{Nodename: "n2", Alive: true, Agent: status.NodeAgent{State: status.NodeStopping}},
	} {
		v.Apply(status.Change{NodeUp: &n})
	}
	add := func(app, node, id string, state status.State, reason, detail string, since time.Duration, endpoints map[string]string) {
		v.Apply(status.Change{Put: &status.Entry{
			Key: status.Key{App: app, Entrypoint: "web", Node: node, ID: id},
			Status: status.Status{ID: id, Name: app + "_web_" + id[:3], State: state, Running: state.Running(), Healthy: state == status.StateHealthy,
				Reason: reason, Detail: detail, Endpoints: endpoints, Since: now.Add(-since), V: 1},
		}})
	}
	add("shop", "n1", "0123456789abcdef", status.StateHealthy, "", "", 59*time.Second, map[string]string{"80": "10.0.0.5:32768", "443": "10.0.0.5:32769"})
	add("shop", "n2", "1123456789abcdef", status.StateUnhealthy, "http_code", "http :80/: 500, want 200-399", time.Hour+time.Minute, map[string]string{"80": "172.17.0.2:80"})
	add("shop", "n3", "2123456789abcdef", status.StateLost, "silent", "", 49*time.Hour, nil)
	add("api", "n1", "3123456789abcdef", status.StateStarting, "connect_refused", "http :80/: connecting: connection refused", -time.Second, nil)
	add("api", "n1", "4123", status.StateStopped, "exited", "exit code 0", 61*time.Second, nil)
	add("zoo", "n1", "5123456789abcdef", status.StateInvalid, "label", `eru.health.http.port="eighty": want ports from 1 to 65535, as in 80,443`, 0, nil)
	add("zoo", "n1", "6123456789abcdef", status.StatePaused, "paused", "paused by Docker", 0, nil)
	add("zoo", "n1", "7123456789abcdef", status.StateDraining, "stop_signal", "SIGTERM", 0, nil)
	add("zoo", "n1", "9123456789abcdef", status.StateDraining, "drain", "by ops@host: a new disk, until 2026-11-23T08:00:00Z", 0, nil)
	add("café-über", "n1", "8123456789abcdef", status.StateHealthy, "", "", 0, nil)
	return v
}

func wishes() status.Drains {
	return status.Drains{Wishes: map[status.DrainKey]status.Drain{
		{Node: "n1", ID: "9123456789abcdef"}: {By: "ops@host", Reason: "a new disk", Until: now.Add(10 * time.Minute)},
		{Node: "n2", ID: status.WholeNode}:   {By: "night@host"},
		{Node: "n2", ID: "gone"}:             {Until: now.Add(-time.Second)},
	}}
}

func TestStatusTable(t *testing.T) {
	v := fleet()
	golden(t, "table", statusOptions{}.table(v, plain, now))
	golden(t, "table-colour", statusOptions{}.table(v, coloured, now))
	golden(t, "table-app", statusOptions{app: "shop", node: "n1"}.table(v, plain, now))
	golden(t, "table-empty", statusOptions{etcd: "127.0.0.1:2379 under /eru"}.table(status.NewTree(), plain, now))
	golden(t, "table-none", statusOptions{app: "nobody", etcd: "127.0.0.1:2379 under /eru"}.table(v, plain, now))
	var b bytes.Buffer
	if err := (statusOptions{output: "json"}).print(&b, v, wishes()); err != nil {
		t.Fatal(err)
	}
	golden(t, "document", b.String())
	golden(t, "table-drains", statusOptions{}.drainTable(v, wishes(), plain, now))
	golden(t, "table-drains-colour", statusOptions{node: "n1", app: "zoo"}.drainTable(v, wishes(), coloured, now))
	if text := (statusOptions{}).drainTable(v, status.Drains{}, plain, now); text != "" {
		t.Errorf("of no drain it says %q", text)
	}
}

// TestStatusLines prints changes one by one; the time in front is cut off.
func TestStatusLines(t *testing.T) {
	v := fleet()
	key := status.Key{App: "shop", Entrypoint: "web", Node: "n2", ID: "1123456789abcdef"}
	put, n := v.Containers[key], v.Nodes["n1"]
	changes := []status.Change{
		{Put: &put}, {Deleted: &key}, {NodeUp: &n}, {NodeGone: "n2"}, {Synced: true}, {Lost: cli.ErrNo},
	}
	for _, output := range []string{"table", "json"} {
		var out, errs bytes.Buffer
		o := statusOptions{output: output, app: "shop"}.lines()
		for _, c := range changes {
			o.print(&out, &errs, c)
		}
		other := put
		other.Key.App = "other"
		o.print(&out, &errs, status.Change{Put: &other})
		text := out.String()
		if output == "table" {
			text = ""
			for line := range strings.Lines(out.String()) {
				_, rest, _ := strings.Cut(line, " ")
				text += rest
			}
		}
		golden(t, "lines-"+output, text)
		if want := "etcd cannot be followed, the last known stands: no\n"; errs.String() != want {
			t.Errorf("of a lost watch it says %q, want %q", errs.String(), want)
		}
	}
}

// TestStatusState shows one state only, and prints when a container leaves it.
func TestStatusState(t *testing.T) {
	o := statusOptions{output: "table", state: "unhealthy"}
	golden(t, "table-state", o.table(fleet(), plain, now))
	var out, errs bytes.Buffer
	lines := o.lines()
	key := status.Key{App: "shop", Entrypoint: "web", Node: "n1", ID: "0123"}
	put := func(state status.State) {
		lines.print(&out, &errs, status.Change{Put: &status.Entry{Key: key, Status: status.Status{State: state}}})
	}
	for _, state := range []status.State{"healthy", "unhealthy", "unhealthy", "healthy", "healthy"} {
		put(state)
	}
	lines.print(&out, &errs, status.Change{Deleted: &key}) // it was not in the state
	put("unhealthy")
	lines.print(&out, &errs, status.Change{Deleted: &key})
	lines.print(&out, &errs, status.Change{Deleted: &key})
	var got []string
	for line := range strings.Lines(out.String()) {
		got = append(got, strings.Fields(line)[1])
	}
	if want := "unhealthy,unhealthy,healthy,unhealthy,gone"; strings.Join(got, ",") != want {
		t.Errorf("it prints %q, want %q", got, want)
	}
	if len(lines.inside) != 0 {
		t.Errorf("%d containers that are gone are remembered", len(lines.inside))
	}
}

func TestProbeReport(t *testing.T) {
	rep := probeReport{ID: "0123456789abcdef", Name: "web", Address: "172.17.0.2", Summary: "unhealthy", Verdicts: []healthcheck.Verdict{
		{Pass: true, Probe: "http :80/", Timings: healthcheck.Timings{Connect: 100 * time.Microsecond, FirstByte: 1500 * time.Microsecond, Total: 1600 * time.Microsecond}},
		{Probe: "tcp :5001", Reason: healthcheck.ReasonRefused, Detail: "connecting: connection refused", Timings: healthcheck.Timings{Total: 80 * time.Microsecond}},
	}}
	golden(t, "probe", rep.text(plain))
	golden(t, "probe-colour", rep.text(coloured))
	golden(t, "probe-none", probeReport{ID: "0123", Name: "web", Healthy: true, Summary: "healthy: it runs, and no label asks for a check"}.text(plain))
}

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 999 * time.Millisecond: "0s", 59 * time.Second: "59s", time.Minute: "1m0s",
		time.Hour - time.Second: "59m59s", time.Hour: "1h0m", 24*time.Hour - time.Second: "23h59m", 49 * time.Hour: "2d1h",
	} {
		if got := age(d); got != want {
			t.Errorf("age(%s) is %q, want %q", d, got, want)
		}
	}
}
