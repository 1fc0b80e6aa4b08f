package cmd

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/projecteru2/eru-agent/cmd/cli"
)

// badConfigs are the files of testdata and what is said of each.
func badConfigs() map[string][]string {
	const (
		name        = "1 to 128 of [A-Za-z0-9._-]"
		path        = "a path of [A-Za-z0-9._-] parts, as /eru"
		endpoints   = "a list of host:port or URLs, as [10.0.0.1:2379]"
		interval    = "a duration from healthcheck.min_interval to 1h, as 5s"
		canary      = "0s, or a duration from 10s to 2m of at least twice healthcheck.interval, as 1m"
		projections = "a list of traefik and skydns, each at most once"
		former      = "a key of the former Eru agent, to be taken out: "
		noCore      = former + "this agent writes to etcd itself and does not speak to Eru core"
		anchor      = "got an anchor, alias or tag, none of which is read here, want "
	)
	return map[string][]string{
		"unknown_key":     {`2:3: etcd.endpoint: want a known key, perhaps etcd.endpoints`},
		"unknown_section": {`1:1: prefix: want a known key, perhaps etcd.prefix`},
		"unknown_word":    {`1:1: frobnicate: want a known key`},

		"bad_duration":          {`2:13: healthcheck.interval: got "soon", want ` + interval},
		"duration_without_unit": {`2:13: healthcheck.interval: got "5", want ` + interval},
		"bad_bool":              {`2:10: api.pprof: got "maybe", want true or false`},
		"bad_number":            {`2:16: healthcheck.concurrency: got "many", want a number from 1 to 10000`},
		"null":                  {`2:3: etcd.prefix: got nothing, want ` + path},
		"null_in_list":          {`4:7: etcd.endpoints: got nothing in a list, want ` + endpoints},
		"list_for_one":          {`2:11: etcd.prefix: got a list, want ` + path},
		"one_for_list":          {`2:14: etcd.endpoints: got "10.0.0.1:2379", want ` + endpoints},
		"list_in_list":          {`2:30: etcd.endpoints: got a list in a list, want ` + endpoints},
		"map_for_one":           {`2:7: node: got keys and values, want ` + name},
		"one_for_section":       {`1:7: etcd: want keys and values`},
		"list_for_file":         {`1:1: file: got a list, want keys and values`},
		"text_for_file":         {`1:1: file: want keys and values`},

		"duplicate_key":    {`3:1: not well-formed YAML: mapping key "node" already defined at [1:1]`},
		"two_documents":    {`3:5: file: want one YAML document, and no second one`},
		"not_closed":       {`2:1: not well-formed YAML: ',' or '}' must be specified`},
		"quote_not_closed": {`1:7: not well-formed YAML: could not find end character of double-quoted text`},
		"tab":              {`2:1: not well-formed YAML: found character '	' that cannot start any token`},
		"indented":         {`2:11: not well-formed YAML: mapping value is not allowed in this context`},
		"dotted_key":       {`1:1: etcd.prefix: want the parts of a key one in the other, as etcd: {prefix: /eru}`},
		"anchor":           {`2:11: etcd.prefix: ` + anchor + path},
		"alias":            {`2:9: docker: ` + anchor + `keys and values`},
		"merge_key":        {`2:3: etcd.<<: want a known key`},
		"tag":              {`1:7: node: ` + anchor + name},

		"former": {
			`1:1: pid: ` + former + `systemd knows the process`,
			`2:1: store: ` + noCore, `3:1: core: ` + noCore,
			`5:1: heartbeat_interval: ` + former + `etcd.session_ttl replaces it`,
			`6:1: check_only_mine: ` + former + `docker.select replaces it`,
			`7:1: metrics: ` + former + `this agent collects no container metrics; cAdvisor does, and its own are at api.addr/metrics`,
			`11:3: healthcheck.cache_ttl: ` + former + `nothing is cached: etcd is written on change only`,
			`12:3: healthcheck.enable_selfmon: ` + former + `selfmon.enabled replaces it`,
			`14:3: etcd.machines: ` + former + `etcd.endpoints replaces it`,
			`17:3: log.forwards: ` + former + `this agent ships no logs; Docker's log drivers do`,
		},

		"out_of_range": {
			`1:7: node: got "a/b", want ` + name,
			`2:10: node_ip: got "here", want an IP address, as 10.0.0.5`,
			`4:13: docker.endpoint: got "/var/run/docker.sock", want unix:///path or tcp://host:port`,
			`6:14: etcd.endpoints: got "[10.0.0.1]", want ` + endpoints,
			`7:11: etcd.prefix: got "/eru//x", want ` + path,
			`8:16: etcd.session_ttl: got "1s", want a duration of 2s or more, as 5s`,
			`9:12: etcd.timeout: got "1ms", want a duration of 100ms or more, as 5s`,
			`11:17: healthcheck.min_interval: got "1ms", want a duration of 100ms or more, as 5s`,
			`12:13: healthcheck.interval: got "2h0m0s", want ` + interval,
			`13:12: healthcheck.timeout: got "2m0s", want a duration from 10ms to 10s, as 2s`,
			`14:19: healthcheck.start_interval: got "0s", want a duration of 100ms or more, as 5s`,
			`15:19: healthcheck.retry_interval: got "-1s", want a duration of 100ms or more, as 5s`,
			`16:16: healthcheck.concurrency: got "0", want a number from 1 to 10000`,
			`18:13: selfmon.max_lost: got "34", want a share from 0 to 1, as 0.34`,
			`19:10: selfmon.grace: got "-1s", want a duration of 0s or more, as 1m`,
			`20:17: selfmon.forget_after: got "1m0s", want 0s or a duration of 1h or more, as 720h`,
			`21:15: selfmon.host_ports: got "[ssh]", want a list of ports from 1 to 65535, as [22, 1]`,
			`22:12: selfmon.control: got "[10.0.0.1]", want a list of ip:port, as [10.0.0.1:22]`,
			`24:9: api.addr: got "localhost:port", want host:port, as 127.0.0.1:12345`,
			`26:10: log.level: got "loud", want debug, info, warn or error`,
			`27:11: log.format: got "xml", want text or json`,
		},
		"interval_below_least":   {`3:13: healthcheck.interval: got "500ms", want ` + interval},
		"canary_too_often":       {`2:13: canary.interval: got "9s", want ` + canary},
		"canary_before_verdict":  {`4:13: canary.interval: got "1m0s", want ` + canary},
		"canary_without_session": {`4:13: canary.interval: got "1m0s", want 0s beside selfmon.enabled: false, because its key hangs on the node's session`},
		"unknown_projection":     {`1:14: projections: got "[traefik,envoy]", want ` + projections},
		"projection_twice":       {`1:14: projections: got "[skydns,skydns]", want ` + projections},
		"projection_for_list":    {`1:14: projections: got "traefik", want ` + projections},
		"empty_list":             {`2:14: etcd.endpoints: got "[]", want ` + endpoints},
		"port_too_high":          {`2:9: api.addr: got "127.0.0.1:65536", want host:port, as 127.0.0.1:12345`},

		"cert_without_key":       {`3:11: etcd.tls.key: want a key beside etcd.tls.cert, and a certificate beside the key`},
		"key_without_cert":       {`3:10: docker.tls.key: got "client.key", want a key beside docker.tls.cert, and a certificate beside the key`},
		"user_without_password":  {`2:13: etcd.password_file: want a file beside etcd.username, and a user beside the file`},
		"password_without_user":  {`2:18: etcd.password_file: got "password", want a file beside etcd.username, and a user beside the file`},
		"missing_password":       {`3:18: etcd.password_file: open testdata/nowhere: no such file or directory`},
		"missing_ca":             {`3:9: etcd.tls.ca: open testdata/nowhere: no such file or directory`},
		"ca_without_certificate": {`3:9: etcd.tls.ca: "testdata/ca_without_certificate.yaml" holds no certificate in PEM`},
		"cert_that_is_none":      {`3:11: etcd.tls.cert: reading it and etcd.tls.key: tls: failed to find any PEM data in certificate input`},
		"missing_web_config":     {`2:15: api.web_config: open testdata/nowhere: no such file or directory`},
		"bad_web_config":         {"2:15: api.web_config: yaml: unmarshal errors:\n  line 1: field frobnicate not found in type web.Config"},
	}
}

// TestBadConfig gives every file of testdata to check-config.
func TestBadConfig(t *testing.T) {
	withoutVariables(t)
	wanted := badConfigs()
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) != len(wanted) {
		t.Fatalf("%d files, %d are known here: %v", len(files), len(wanted), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			var want strings.Builder
			for _, line := range wanted[strings.TrimSuffix(filepath.Base(file), ".yaml")] {
				want.WriteString(file + ":" + line + "\n")
			}
			out, errs, code := runMain(t, "check-config", file)
			if code != cli.ExitUsage || errs != want.String() || out != "" {
				t.Errorf("exit code %d, output %q, errors\n%swant\n%s", code, out, errs, want.String())
			}
		})
	}
}

// TestGoodConfig gives it what looks odd and is well.
func TestGoodConfig(t *testing.T) {
	withoutVariables(t)
	for file, want := range map[string][]string{
		"empty":                    nil,
		"second_document_is_empty": {"node a testdata/good/second_document_is_empty.yaml:1:7"},
		"windows":                  {"node a testdata/good/windows.yaml:1:7", "etcd.endpoints [10.0.0.1:2379,https://etcd.test:2379/,unix://etcd:1] testdata/good/windows.yaml:2:19"},
		"odd":                      {"node 5 testdata/good/odd.yaml:4:7", "docker.select [] testdata/good/odd.yaml:5:18", "log.level debug testdata/good/odd.yaml:3:14", "log.format json testdata/good/odd.yaml:3:29"},
	} {
		out, errs, code := runMain(t, "check-config", filepath.Join("testdata", "good", file+".yaml"))
		var got []string
		for line := range strings.Lines(out) {
			if words := strings.Join(strings.Fields(line), " "); !strings.HasSuffix(words, " default") && words != "KEY VALUE FROM" {
				got = append(got, words)
			}
		}
		if code != cli.ExitWell || errs != "" || !slices.Equal(got, want) {
			t.Errorf("%s: exit code %d, %s\n%q, want\n%q", file, code, errs, got, want)
		}
	}
}

// TestNoFile names a file that is not there.
func TestNoFile(t *testing.T) {
	withoutVariables(t)
	for _, args := range [][]string{{"check-config", "testdata/nowhere.yaml"}, {"run", "--config", "testdata/nowhere.yaml"}, {"status", "-c", "testdata"}} {
		_, errs, code := runMain(t, args...)
		if code != cli.ExitUsage || !strings.HasPrefix(errs, "reading the configuration: ") || !strings.Contains(errs, args[len(args)-1]) {
			t.Errorf("%v: exit code %d, %s", args, code, errs)
		}
	}
}

// TestPrecedence sets one key in all places and takes them away, the strongest first.
func TestPrecedence(t *testing.T) {
	file := filepath.Join(t.TempDir(), "agent.yaml")
	if err := os.WriteFile(file, []byte("etcd:\n  prefix: /file\n  endpoints: [file:1, file:2]\nhealthcheck:\n  interval: 1s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	variables := []string{"ERU_AGENT_ETCD_PREFIX=/env", "ERU_AGENT_ETCD_ENDPOINTS=env:1, env:2,", "ERU_AGENT_HEALTHCHECK_INTERVAL=2s", "ERU_AGENTS=none", "PATH=/bin"}
	flags := []string{"--etcd.prefix=/flag", "--etcd.endpoints=flag:1", "--etcd.endpoints=flag:2", "--healthcheck.interval=3s"}
	for _, test := range []struct {
		name         string
		flags, env   []string
		file         string
		prefix, from string
		endpoints    []string
		interval     time.Duration
	}{
		{"flag", flags, variables, file, "/flag", "--etcd.prefix", []string{"flag:1", "flag:2"}, 3 * time.Second},
		{"environment", nil, variables, file, "/env", "ERU_AGENT_ETCD_PREFIX", []string{"env:1", "env:2"}, 2 * time.Second},
		{"file", nil, nil, file, "/file", file + ":2:11", []string{"file:1", "file:2"}, time.Second},
		{"default", nil, nil, "testdata/good/empty.yaml", "/eru", "default", []string{"127.0.0.1:2379"}, 5 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLoader()
			l.File = test.file
			if err := l.Schema().Parse(test.flags); err != nil {
				t.Fatal(err)
			}
			cfg, err := l.load(test.env)
			if err != nil {
				t.Fatal(err)
			}
			if cfg.etcd.Prefix != test.prefix || l.Where("etcd.prefix") != test.from || !slices.Equal(cfg.etcd.Endpoints, test.endpoints) || cfg.health.Interval != test.interval {
				t.Errorf("prefix %s from %s, endpoints %v, interval %s", cfg.etcd.Prefix, l.Where("etcd.prefix"), cfg.etcd.Endpoints, cfg.health.Interval)
			}
		})
	}
}

func TestVariables(t *testing.T) {
	for _, test := range []struct{ name, env, want string }{
		{"misspelt", "ERU_AGENT_ETCD_ENDPOINT=a:1", "environment: ERU_AGENT_ETCD_ENDPOINT: want a known key, perhaps ERU_AGENT_ETCD_ENDPOINTS"},
		{"unknown", "ERU_AGENT_FROBNICATE=1", "environment: ERU_AGENT_FROBNICATE: want the name of a key, as ERU_AGENT_ETCD_ENDPOINTS"},
		{"bad value", "ERU_AGENT_HEALTHCHECK_INTERVAL=soon", `ERU_AGENT_HEALTHCHECK_INTERVAL: healthcheck.interval: got "soon", want a duration from healthcheck.min_interval to 1h, as 5s`},
		{"out of range", "ERU_AGENT_HEALTHCHECK_CONCURRENCY=0", `ERU_AGENT_HEALTHCHECK_CONCURRENCY: healthcheck.concurrency: got "0", want a number from 1 to 10000`},
		{"empty", "ERU_AGENT_API_ADDR=", `ERU_AGENT_API_ADDR: api.addr: want host:port, as 127.0.0.1:12345`},
	} {
		l := newLoader()
		l.File = "testdata/good/empty.yaml"
		if _, err := l.load([]string{test.env}); err == nil || err.Error() != test.want {
			t.Errorf("%s: %v, want %s", test.name, err, test.want)
		}
	}
}

// TestVariableNamesTheFile reads the file that ERU_AGENT_CONFIG names, unless a flag names another.
func TestVariableNamesTheFile(t *testing.T) {
	withoutVariables(t)
	t.Setenv("ERU_AGENT_CONFIG", "testdata/unknown_word.yaml")
	if _, errs, code := runMain(t, "check-config"); code != cli.ExitUsage || !strings.HasPrefix(errs, "testdata/unknown_word.yaml:1:1: ") {
		t.Errorf("exit code %d, %s", code, errs)
	}
	if _, errs, code := runMain(t, "check-config", "--config", "testdata/good/empty.yaml"); code != cli.ExitWell {
		t.Errorf("exit code %d, %s", code, errs)
	}
}

// TestExample makes sure that agent.yaml.example is up to date, is read without error, and holds every key at its
// default.
func TestExample(t *testing.T) {
	const path = "../agent.yaml.example"
	stands, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var generated bytes.Buffer
	if err := WriteExample(&generated); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(stands, generated.Bytes()) {
		t.Error("agent.yaml.example is not up to date; run make docs")
	}
	uncommented := filepath.Join(t.TempDir(), "all.yaml")
	if err := os.WriteFile(uncommented, uncomment(stands), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, all := range map[string]bool{path: false, uncommented: true} {
		l := newLoader()
		l.File = file
		if _, err := l.load(nil); err != nil {
			t.Errorf("%v", err)
		}
		l.Schema().VisitAll(func(f *pflag.Flag) {
			if f.Name != "node" && f.Name != "docker.select" && f.Name != "projections" && f.Name != "selfmon.control" && f.Value.String() != f.DefValue {
				t.Errorf("%s is %q, the default %q", f.Name, f.Value, f.DefValue)
			}
			if all && !strings.HasPrefix(l.Where(f.Name), file) {
				t.Errorf("%s does not stand in the example; it comes from %s", f.Name, l.Where(f.Name))
			}
		})
	}
}

// uncomment takes the # from each line that is a key.
func uncomment(example []byte) []byte {
	var b bytes.Buffer
	for line := range bytes.Lines(example) {
		word, value, _ := bytes.Cut(bytes.TrimSpace(bytes.TrimPrefix(bytes.TrimSpace(line), []byte("# "))), []byte(":"))
		isKey := len(word) > 0 && !bytes.ContainsAny(word, " ,;")
		isValue := len(bytes.TrimSpace(value)) == 0 || value[0] == ' ' && !bytes.Contains(bytes.TrimSpace(value), []byte(" "))
		if isKey && isValue {
			line = bytes.Replace(line, []byte("# "), nil, 1)
		}
		b.Write(line)
	}
	return b.Bytes()
}

// withoutVariables hides what the machine's own environment says to an agent.
func withoutVariables(t *testing.T) {
	t.Helper()
	for _, pair := range os.Environ() {
		if name, value, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "ERU_AGENT_") {
			t.Setenv(name, value) // gives it back at the end
			_ = os.Unsetenv(name)
		}
	}
}

// runMain runs a command line and returns what it printed and its exit code.
func runMain(t *testing.T, args ...string) (string, string, int) {
	t.Helper()
	var out, errs bytes.Buffer
	code := Main(t.Context(), args, &out, &errs)
	return out.String(), errs.String(), code
}
