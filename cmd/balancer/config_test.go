package balancer

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/projecteru2/eru-agent/cmd/cli"
)

// badConfigs are the files of testdata and what is said of each.
func badConfigs() map[string][]string {
	const services = `a list of app/entrypoint[:port][=backend], each with a backend of its own, as [shop/web, shop/api:8080=api]`
	return map[string][]string{
		"no_service":          {`1:11: services: got "[]", want ` + services},
		"bad_service":         {`1:11: services: got "[shop]", want ` + services},
		"one_backend_twice":   {`1:11: services: got "[shop/web,shop/web:80]", want ` + services},
		"keys_of_the_agent":   {`3:3: etcd.extension: want a known key`, `4:1: node: want a known key, perhaps name`},
		"unknown_key":         {`3:11: haproxy.sockets: want a known key, perhaps haproxy.socket`, `2:14: panic_share: got "0", want a number above 0 and up to 1, as 0.5`},
		"bad_number":          {`2:14: panic_share: got "half", want a number above 0 and up to 1, as 0.5`},
		"missing_password":    {`2:36: etcd.password_file: open testdata/nowhere: no such file or directory`},
		"missing_certificate": {`3:15: xds.tls.cert: reading it and xds.tls.key: open testdata/nowhere: no such file or directory`},
		"out_of_range": {
			`1:7: name: got "a/b", want 1 to 128 of [A-Za-z0-9._-]`,
			`3:14: panic_share: got "1.5", want a number above 0 and up to 1, as 0.5`,
			`4:7: hold: got "-1s", want a duration of 0s or more, as 5s`,
			`15:9: metrics.addr: got "12346", want host:port, as 127.0.0.1:12346`,
			`6:11: haproxy.socket: got "admin.sock", want a path, as /run/haproxy/admin.sock`,
			`7:15: haproxy.state_file: got "state", want a path, as /var/lib/eru-lb/haproxy.state`,
			`8:10: haproxy.slots: got "eru;", want a prefix of server names, as eru`,
			`9:15: haproxy.add_server: got "check; shutdown", want settings of a server, as check inter 2s`,
			`11:9: xds.addr: got "18000", want host:port, as 127.0.0.1:18000`,
			`12:14: xds.tls.key: got "key.pem", want a key beside xds.tls.cert, and a certificate beside the key`,
			`12:34: xds.tls.client_ca: got "ca.pem", want nothing, or xds.tls.cert and xds.tls.key beside it`,
			`13:16: xds.max_streams: got "0", want a whole number above 0`,
		},
	}
}

// TestBadConfig gives every file of testdata to check-config.
func TestBadConfig(t *testing.T) {
	withoutVariables(t)
	wanted := badConfigs()
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) != len(wanted)+1 {
		t.Fatalf("%d files, %d are known here: %v", len(files), len(wanted)+1, err)
	}
	for name, lines := range wanted {
		file := filepath.Join("testdata", name+".yaml")
		out, errs, code := runMain(t, "check-config", file)
		if want := file + ":" + strings.Join(lines, "\n"+file+":") + "\n"; code != cli.ExitUsage || errs != want || out != "" {
			t.Errorf("%s: exit code %d, output %q, errors\n%swant\n%s", name, code, out, errs, want)
		}
	}
	_, errs, code := runMain(t, "check-config", "testdata/nothing.yaml")
	if code != cli.ExitUsage || !strings.HasPrefix(errs, `default: services: got "[]", want a list`) {
		t.Errorf("no service at all: exit code %d, errors %s", code, errs)
	}
}

func TestGoodConfig(t *testing.T) {
	withoutVariables(t)
	out, errs, code := runMain(t, "check-config", "testdata/good/odd.yaml")
	var got []string
	for line := range strings.Lines(out) {
		if words := strings.Join(strings.Fields(line), " "); !strings.HasSuffix(words, " default") && words != "KEY VALUE FROM" {
			got = append(got, words)
		}
	}
	want := []string{"services [shop/web:80=front,shop/api] testdata/good/odd.yaml:1:11", "state_dir - testdata/good/odd.yaml:2:12", "haproxy.state_file - testdata/good/odd.yaml:3:23"}
	if code != cli.ExitWell || errs != "" || !slices.Equal(got, want) {
		t.Errorf("exit code %d, %s\n%q, want\n%q", code, errs, got, want)
	}
}

// TestUsage makes mistakes on the command line.
func TestUsage(t *testing.T) {
	withoutVariables(t)
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"frobnicate"}, `unknown command "frobnicate"; see eru-lb --help`},
		{[]string{"haproxy", "--haproxy.sock", "/x"}, `unknown flag: --haproxy.sock; see eru-lb haproxy --help`},
		{[]string{"haproxy", "now"}, `unknown command "now" for "eru-lb haproxy"; see eru-lb haproxy --help`},
		{[]string{"haproxy", "-c", "testdata/good/odd.yaml", "--hold", "-1s"}, `--hold: hold: got "-1s", want a duration of 0s or more, as 5s`},
		{[]string{"haproxy", "-c", "testdata/missing_password.yaml"}, `testdata/missing_password.yaml:2:36: etcd.password_file: open testdata/nowhere: no such file or directory`},
		{[]string{"xds", "--haproxy.socket", "/x"}, `unknown flag: --haproxy.socket; see eru-lb xds --help`},
		{[]string{"xds", "-c", "testdata/missing_certificate.yaml"}, `testdata/missing_certificate.yaml:3:15: xds.tls.cert: reading it and xds.tls.key: open testdata/nowhere: no such file or directory`},
		{[]string{"version", "now"}, `unknown command "now" for "eru-lb version"; see eru-lb version --help`},
	} {
		out, errs, code := runMain(t, test.args...)
		if code != cli.ExitUsage || out != "" || !strings.HasSuffix(errs, test.want+"\n") {
			t.Errorf("%v: exit code %d, output %q, errors\n%swant\n%s", test.args, code, out, errs, test.want)
		}
	}
	for _, args := range [][]string{nil, {"--help"}, {"haproxy", "--help"}, {"xds", "--help"}, {"check-config", "--help"}, {"version"}} {
		if out, errs, code := runMain(t, args...); code != cli.ExitWell || errs != "" || out == "" {
			t.Errorf("%v: exit code %d, %s", args, code, errs)
		}
	}
}

// TestTakenPort finds another program at its port.
func TestTakenPort(t *testing.T) {
	withoutVariables(t)
	l := listen(t)
	_, errs, code := runMain(t, "haproxy", "-c", "testdata/good/odd.yaml", "--metrics.addr", l)
	if code != cli.ExitNo || !strings.Contains(errs, "eru-lb: listening on metrics.addr") || !strings.HasSuffix(errs, "is another eru-lb running here?\n") {
		t.Errorf("exit code %d, %s", code, errs)
	}
}

// TestTakenXDSPort finds another program where clients of xDS would ask.
func TestTakenXDSPort(t *testing.T) {
	withoutVariables(t)
	l := listen(t)
	_, errs, code := runMain(t, "xds", "-c", "testdata/good/odd.yaml", "--metrics.addr", "127.0.0.1:0", "--xds.addr", l)
	if code != cli.ExitNo || !strings.Contains(errs, "eru-lb: xds.addr: listening on") || !strings.HasSuffix(errs, "is another eru-lb running here?\n") {
		t.Errorf("exit code %d, %s", code, errs)
	}
}

// TestExample makes sure that lb.yaml.example is up to date, is read without error, and holds every key at its default.
func TestExample(t *testing.T) {
	const path = "../../lb.yaml.example"
	stands, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var generated bytes.Buffer
	if err := WriteExample(&generated); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(stands, generated.Bytes()) {
		t.Error("lb.yaml.example is not up to date; run make docs")
	}
	l := newLoader()
	l.File = path
	if err := l.Load(nil); err != nil {
		t.Error(err)
	}
	l.Schema().VisitAll(func(f *pflag.Flag) {
		if f.Name != "services" && f.Value.String() != f.DefValue {
			t.Errorf("%s is %q, the default %q", f.Name, f.Value, f.DefValue)
		}
		if part := f.Name[strings.LastIndexByte(f.Name, '.')+1:] + ":"; !bytes.Contains(stands, []byte(part)) {
			t.Errorf("%s does not stand in the example", f.Name)
		}
	})
}
