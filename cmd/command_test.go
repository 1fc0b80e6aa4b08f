package cmd

import (
	"regexp"
	"strings"
	"testing"

	"github.com/projecteru2/eru-agent/cmd/cli"
)

// TestUsage makes mistakes on the command line.
func TestUsage(t *testing.T) {
	withoutVariables(t)
	for _, test := range []struct{ args, want string }{
		{"frobnicate", `unknown command "frobnicate"; see eru-agent --help`},
		{"--frobnicate", `unknown flag: --frobnicate; see eru-agent --help`},
		{"completion frobnicate", `unknown command "frobnicate"; see eru-agent completion --help`},
		{"run now", `unknown command "now" for "eru-agent run"; see eru-agent run --help`},
		{"run --etcd.endpoint a:1", `unknown flag: --etcd.endpoint; see eru-agent run --help`},
		{"run --log.level loud", `--log.level: log.level: got "loud", want debug, info, warn or error`},
		{"run --node a/b --api.addr x", "--node: node: got \"a/b\", want 1 to 128 of [A-Za-z0-9._-]\n--api.addr: api.addr: got \"x\", want host:port, as 127.0.0.1:12345"},
		{"run --etcd.username a --etcd.password_file testdata/nowhere", "--etcd.password_file: etcd.password_file: open testdata/nowhere: no such file or directory"},
		{"status --etcd.tls.ca testdata/nowhere", "--etcd.tls.ca: etcd.tls.ca: open testdata/nowhere: no such file or directory"},
		{"status -o xml", `--output: got "xml", want table or json`},
		{"status --state well", `--state: got "well", want one of ["healthy" "starting" "unhealthy" "draining" "paused" "invalid" "lost" "stopped"]`},
		{"status web", `unknown command "web" for "eru-agent status"; see eru-agent status --help`},
		{"probe", `got 0 arguments, want the name or ID of one container; see eru-agent probe --help`},
		{"probe a b", `got 2 arguments, want the name or ID of one container; see eru-agent probe --help`},
		{"probe a -o xml", `--output: got "xml", want table or json`},
		{"node list -o xml", `--output: got "xml", want table or json`},
		{"node list all", `unknown command "all" for "eru-agent node list"; see eru-agent node list --help`},
		{"node forget", `got 0 arguments, want the name of one node; see eru-agent node forget --help`},
		{"node forget a/b", `NODE: got "a/b", want 1 to 128 of [A-Za-z0-9._-]`},
		{"check-config a b", `accepts at most 1 arg(s), received 2; see eru-agent check-config --help`},
		{"drain", `want one container, or --node and a node; see eru-agent drain --help`},
		{"drain a b", `want one container, or --node and a node; see eru-agent drain --help`},
		{"drain a --node n1", `want one container, or --node and a node; see eru-agent drain --help`},
		{"drain a --for 1s", `--for: got 1s, want 2s to 8760h0m0s, or 0 for until it is taken back`},
		{"drain a --for 8761h", `--for: got 8761h0m0s, want 2s to 8760h0m0s, or 0 for until it is taken back`},
		{"drain a --for -5m", `--for: got -5m0s, want 2s to 8760h0m0s, or 0 for until it is taken back`},
		{"drain a --reason " + strings.Repeat("x", 101), `--reason: got 101 bytes, want at most 100`},
		{"drain a --wait --timeout -1s", `--timeout: got -1s, want a duration, as 1m`},
		{"drain a --timeout 1m", `--timeout: only with --wait`},
		{"undrain", `want one container, or --node and a node; see eru-agent undrain --help`},
		{"undrain a --node n1", `want one container, or --node and a node; see eru-agent undrain --help`},
		{"version now", `unknown command "now" for "eru-agent version"; see eru-agent version --help`},
	} {
		args := strings.Fields(test.args)
		if args[0] != "frobnicate" && !strings.HasPrefix(args[0], "--") && args[0] != "completion" && args[0] != "version" {
			args = append(args, "--config", "testdata/good/empty.yaml")
		}
		out, errs, code := runMain(t, args...)
		if code != cli.ExitUsage || errs != test.want+"\n" || out != "" {
			t.Errorf("%s: exit code %d, output %q, errors\n%swant\n%s", test.args, code, out, errs, test.want)
		}
	}
	_, errs, code := runMain(t, "run", "--etcd.timeout", "soon")
	if code != cli.ExitUsage || !strings.HasPrefix(errs, `invalid argument "soon" for "--etcd.timeout" flag: `) {
		t.Errorf("a bad value of a flag: exit code %d, %s", code, errs)
	}
}

// TestNo asks what cannot be answered with yes.
func TestNo(t *testing.T) {
	withoutVariables(t)
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"status", "--etcd.endpoints", "127.0.0.1:1", "--etcd.timeout", "100ms"},
			`^eru-agent: reading "/eru/status" from etcd at \["127\.0\.0\.1:1"\]: .*connection refused`},
		{[]string{"drain", "web", "--etcd.endpoints", "127.0.0.1:1", "--etcd.timeout", "100ms"},
			`^eru-agent: reading "/eru/status" from etcd at \["127\.0\.0\.1:1"\]: .*connection refused`},
		{[]string{"undrain", "--node", "n1", "--etcd.endpoints", "127.0.0.1:1", "--etcd.timeout", "100ms"},
			`^eru-agent: reading "/eru/status" from etcd at \["127\.0\.0\.1:1"\]: .*connection refused`},
		{[]string{"probe", "web", "--docker.endpoint", "unix:///nowhere/docker.sock"},
			`^eru-agent: connecting to Docker at "unix:///nowhere/docker\.sock": `},
	} {
		out, errs, code := runMain(t, append(test.args, "--config", "testdata/good/empty.yaml")...)
		if code != cli.ExitNo || out != "" || !regexp.MustCompile(test.want).MatchString(errs) {
			t.Errorf("%v: exit code %d, output %q, errors %q, want %s", test.args, code, out, errs, test.want)
		}
	}
}

// TestHelp makes sure that each command explains itself and says what its flags are for.
func TestHelp(t *testing.T) {
	withoutVariables(t)
	for _, c := range append(NewRoot().Commands(), NewRoot()) {
		words := strings.Fields(c.CommandPath())[1:]
		out, errs, code := runMain(t, append(words, "--help")...)
		if code != cli.ExitWell || errs != "" || !strings.Contains(out, "Usage:\n") {
			t.Errorf("%v: exit code %d, %s%s", words, code, out, errs)
		}
		if c.Short == "" {
			t.Errorf("%v says not in short what it is for", words)
		}
	}
	if out, _, code := runMain(t); code != cli.ExitWell || !strings.Contains(out, "Available Commands:") {
		t.Errorf("without arguments: exit code %d, %s", code, out)
	}
}
