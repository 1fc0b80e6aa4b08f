package healthcheck_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/projecteru2/eru-agent/foreign"
	"github.com/projecteru2/eru-agent/healthcheck"
)

type labels = map[string]string

func names(check healthcheck.Check) []string {
	var names []string
	for _, p := range check.Probes {
		names = append(names, p.Name)
	}
	return names
}

func TestLabelsAreRead(t *testing.T) {
	const meta = `{"Publish":["80"],"HealthCheck":{"TCPPorts":["5001"],"HTTPPort":"80","HTTPURL":"h","HTTPCode":200}}`
	tests := map[string]struct {
		labels   labels
		probes   []string
		publish  []uint16
		interval time.Duration // 0: the config's
		timeout  time.Duration
	}{
		"no label is no check":          {labels: labels{}},
		"others' labels are not ours":   {labels: labels{"eru.app": "a", "ERU": "1", "eru.healthy": "x", "com.docker.x": "y"}},
		"http":                          {labels: labels{"eru.health.http.port": "80"}, probes: []string{"http :80/"}, publish: []uint16{80}},
		"http with path":                {labels: labels{"eru.health.http.port": "80", "eru.health.http.path": "/h?x=1"}, probes: []string{"http :80/h?x=1"}, publish: []uint16{80}},
		"a missing slash is added":      {labels: labels{"eru.health.http.port": "80", "eru.health.http.path": "h"}, probes: []string{"http :80/h"}, publish: []uint16{80}},
		"https":                         {labels: labels{"eru.health.http.port": "443", "eru.health.http.scheme": "https"}, probes: []string{"https :443/"}, publish: []uint16{443}},
		"tcp, spaces and doubles":       {labels: labels{"eru.health.tcp.ports": "5001, 5002,5001"}, probes: []string{"tcp :5001", "tcp :5002"}, publish: []uint16{5001, 5002}},
		"both, with one publish each":   {labels: labels{"eru.health.tcp.ports": "80,81", "eru.health.http.port": "80"}, probes: []string{"http :80/", "tcp :80", "tcp :81"}, publish: []uint16{80, 81}},
		"publish":                       {labels: labels{"eru.health.tcp.ports": "80", "eru.publish": "443,80"}, probes: []string{"tcp :80"}, publish: []uint16{443, 80}},
		"publish without a check":       {labels: labels{"eru.publish": "80"}, publish: []uint16{80}},
		"interval and timeout":          {labels: labels{"eru.health.interval": "1m30s", "eru.health.timeout": "10ms"}, interval: 90 * time.Second, timeout: 10 * time.Millisecond},
		"network and via host":          {labels: labels{"eru.health.network": "back", "eru.health.via": "host"}},
		"ERU_META":                      {labels: labels{"ERU_META": meta}, probes: []string{"http :80/h", "tcp :5001"}, publish: []uint16{80}},
		"ERU_META of nothing":           {labels: labels{"ERU_META": `{"Publish":null,"HealthCheck":null,"Other":{"a":1}}`}},
		"ERU_META without Publish":      {labels: labels{"ERU_META": `{"HealthCheck":{"TCPPorts":["1"]}}`}, probes: []string{"tcp :1"}, publish: []uint16{1}},
		"flat tcp.ports over ERU_META":  {labels: labels{"ERU_META": meta, "eru.health.tcp.ports": "9"}, probes: []string{"http :80/h", "tcp :9"}, publish: []uint16{80}},
		"flat http.port over ERU_META":  {labels: labels{"ERU_META": meta, "eru.health.http.port": "81"}, probes: []string{"http :81/h", "tcp :5001"}, publish: []uint16{80}},
		"flat http.path over ERU_META":  {labels: labels{"ERU_META": meta, "eru.health.http.path": "/p"}, probes: []string{"http :80/p", "tcp :5001"}, publish: []uint16{80}},
		"flat scheme beside ERU_META":   {labels: labels{"ERU_META": meta, "eru.health.http.scheme": "https"}, probes: []string{"https :80/h", "tcp :5001"}, publish: []uint16{80}},
		"flat publish over ERU_META":    {labels: labels{"ERU_META": meta, "eru.publish": "9"}, probes: []string{"http :80/h", "tcp :5001"}, publish: []uint16{9}},
		"a bad ERU_META value replaced": {labels: labels{"ERU_META": `{"HealthCheck":{"TCPPorts":["x"]}}`, "eru.health.tcp.ports": "9"}, probes: []string{"tcp :9"}, publish: []uint16{9}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			check, err := healthcheck.NewParser(config()).Parse(tt.labels)
			if err != nil {
				t.Fatal(err)
			}
			if got := names(check); !slices.Equal(got, tt.probes) {
				t.Errorf("probes %q, want %q", got, tt.probes)
			}
			if !slices.Equal(check.Publish, tt.publish) {
				t.Errorf("publish %v, want %v", check.Publish, tt.publish)
			}
			if want := max(tt.interval, 0); want != 0 && check.Interval != want || want == 0 && check.Interval != config().Interval {
				t.Errorf("interval %s", check.Interval)
			}
			if want := tt.timeout; want != 0 && check.Timeout != want || want == 0 && check.Timeout != config().Timeout {
				t.Errorf("timeout %s", check.Timeout)
			}
		})
	}
}

func TestBadLabelsAreNamed(t *testing.T) {
	const port = "eru.health.http.port"
	ports := func(n int) string {
		var list []string
		for i := range n {
			list = append(list, strconv.Itoa(i+1))
		}
		return strings.Join(list, ",")
	}
	tests := []struct {
		labels labels
		want   string
	}{
		{labels{"eru.health.": "x"}, `eru.health.="x": want interval, timeout, network, via or a label of a kind that this agent knows: http, tcp`},
		{labels{"eru.health.intervall": "5s"}, `eru.health.intervall="5s": want a known label, perhaps eru.health.interval`},
		{labels{"eru.health.htp.port": "80"}, `eru.health.htp.port="80": want a known label, perhaps eru.health.http.port`},
		{labels{"eru.health.HTTP.port": "80"}, `eru.health.HTTP.port="80": want a known label, perhaps eru.health.http.port`},
		{labels{"eru.health.tpc.ports": "80", "eru.health.zttp.port": "80"}, `eru.health.tpc.ports="80": want a known label, perhaps eru.health.tcp.ports`},
		{labels{"eru.health.http": "80"}, `eru.health.http="80": want interval, timeout, network, via or a label of a kind that this agent knows: http, tcp`},
		{labels{"eru.health.dubbo.port": "80"}, `eru.health.dubbo.port="80": want interval, timeout, network, via or a label of a kind that this agent knows: http, tcp`},
		{labels{port: "80", "eru.health.http.prot": "81"}, `eru.health.http.prot="81": want a label that the http probe knows, perhaps eru.health.http.port`},
		{labels{"eru.health.http.prot": "80"}, `eru.health.http.prot="80": want a label that the http probe knows, perhaps eru.health.http.port`},
		{labels{port: "80", "eru.health.http.tls.skip-verify": "1"}, `eru.health.http.tls.skip-verify="1": want a label that the http probe knows, perhaps eru.health.http.tls.skip_verify`},
		{labels{port: "80", "eru.health.http.headers.X-Probe": "1"}, `eru.health.http.headers.X-Probe="1": want a label that the http probe knows, perhaps eru.health.http.header.X-Probe`},
		{labels{port: "80", "eru.health.http.headr.Authorization": strings.Repeat("t", 300)}, `eru.health.http.headr.Authorization="` + strings.Repeat("t", 61) + `…": want a label that the http probe knows, perhaps eru.health.http.header.Authorization`},
		{labels{port: "80", "eru.health.http.colour": "red"}, `eru.health.http.colour="red": want a label that the http probe knows`},
		{labels{port: "80", "eru.health.http.header.": "x"}, `eru.health.http.header.="x": want a label that the http probe knows`},
		{labels{"eru.health.tcp.port": "80"}, `eru.health.tcp.port="80": want a label that the tcp probe knows, perhaps eru.health.tcp.ports`},
		{labels{"eru.health.http.path": "/"}, `eru.health.http.port="": want a port, because another label of the http probe is set`},
		{labels{port: ""}, `eru.health.http.port="": want ports from 1 to 65535, as in 80,443`},
		{labels{port: "0"}, `eru.health.http.port="0": want ports from 1 to 65535, as in 80,443`},
		{labels{port: "65536"}, `eru.health.http.port="65536": want ports from 1 to 65535, as in 80,443`},
		{labels{port: "-1"}, `eru.health.http.port="-1": want ports from 1 to 65535, as in 80,443`},
		{labels{port: "10.0.0.1:80"}, `eru.health.http.port="10.0.0.1:80": want ports from 1 to 65535, as in 80,443`},
		{labels{port: "80,81"}, `eru.health.http.port="80,81": want one port`},
		{labels{port: "80", "eru.health.http.path": "/a b"}, `eru.health.http.path="/a b": want a path in ASCII without spaces; write others as %20`},
		{labels{port: "80", "eru.health.http.path": "/\r\nX: y"}, `eru.health.http.path="/\r\nX: y": want a path in ASCII without spaces; write others as %20`},
		{labels{port: "80", "eru.health.http.path": "/ü"}, `eru.health.http.path="/ü": want a path in ASCII without spaces; write others as %20`},
		{labels{port: "80", "eru.health.http.path": "/\xff"}, `eru.health.http.path="/\xff": want a path in ASCII without spaces; write others as %20`},
		{labels{port: "80", "eru.health.http.method": ""}, `eru.health.http.method="": want an HTTP method, as GET or HEAD`},
		{labels{port: "80", "eru.health.http.method": "GET /"}, `eru.health.http.method="GET /": want an HTTP method, as GET or HEAD`},
		{labels{port: "80", "eru.health.http.method": "CONNECT"}, `eru.health.http.method="CONNECT": want any method but CONNECT`},
		{labels{port: "80", "eru.health.http.host": "a b"}, `eru.health.http.host="a b": want a host name, with :port if need be`},
		{labels{port: "80", "eru.health.http.scheme": "ftp"}, `eru.health.http.scheme="ftp": want http or https`},
		{labels{port: "80", "eru.health.http.header.X": "a\nb"}, `eru.health.http.header.X="a\nb": want a header of visible characters, on one line`},
		{labels{port: "80", "eru.health.http.header.a b": "c"}, `eru.health.http.header.a b="c": want a header of visible characters, on one line`},
		{labels{port: "80", "eru.health.http.header.Host": "h"}, `eru.health.http.header.Host="h": want the label eru.health.http.host for the Host header`},
		{labels{port: "80", "eru.health.http.header.Content-Length": "5"}, `eru.health.http.header.Content-Length="5": want a header without length: the probe sends no body`},
		{labels{port: "80", "eru.health.http.header.transfer-encoding": "chunked"}, `eru.health.http.header.transfer-encoding="chunked": want a header without length: the probe sends no body`},
		{labels{port: "80", "eru.health.http.header.X": strings.Repeat("x", 17<<10)}, `eru.health.http.port="80": want a request of at most 16 KiB; its labels make 17`},
		{labels{port: "80", "eru.health.http.codes": ""}, `eru.health.http.codes="": want codes from 100 to 599, as in 200-299,404`},
		{labels{port: "80", "eru.health.http.codes": "200-"}, `eru.health.http.codes="200-": want codes from 100 to 599, as in 200-299,404`},
		{labels{port: "80", "eru.health.http.codes": "299-200"}, `eru.health.http.codes="299-200": want codes from 100 to 599, as in 200-299,404`},
		{labels{port: "80", "eru.health.http.codes": "+200"}, `eru.health.http.codes="+200": want codes from 100 to 599, as in 200-299,404`},
		{labels{port: "80", "eru.health.http.codes": "200,600"}, `eru.health.http.codes="200,600": want codes from 100 to 599, as in 200-299,404`},
		{labels{port: "80", "eru.health.http.body": "("}, "eru.health.http.body=\"(\": want an RE2 regular expression: error parsing regexp: missing closing ): `(`"},
		{labels{port: "80", "eru.health.http.body": "((a{30}){30})"}, `eru.health.http.body="((a{30}){30})": want an RE2 regular expression: too costly to match: shorten it or its repetitions`},
		{labels{port: "80", "eru.health.http.body": strings.Repeat("a", 1025)}, `eru.health.http.body="` + strings.Repeat("a", 61) + `…": want an RE2 regular expression: longer than 1024 bytes`},
		{labels{port: "80", "eru.health.http.body": "x", "eru.health.http.method": "HEAD"}, `eru.health.http.body="x": want a method that has a body in its answer, not HEAD`},
		{labels{port: "80", "eru.health.http.scheme": "https", "eru.health.http.tls.skip_verify": "yes"}, `eru.health.http.tls.skip_verify="yes": want true or false`},
		{labels{port: "80", "eru.health.http.tls.skip_verify": "true"}, `eru.health.http.tls.skip_verify="true": want eru.health.http.scheme=https beside it`},
		{labels{port: "80", "eru.health.http.tls.server_name": "a"}, `eru.health.http.tls.server_name="a": want eru.health.http.scheme=https beside it`},
		{labels{"eru.health.tcp.ports": "80,x"}, `eru.health.tcp.ports="80,x": want ports from 1 to 65535, as in 80,443`},
		{labels{"eru.health.tcp.ports": "80-90"}, `eru.health.tcp.ports="80-90": want ports from 1 to 65535, as in 80,443`},
		{labels{"eru.health.tcp.ports": ports(33)}, fmt.Sprintf("eru.health.tcp.ports=%q: want at most 32 ports", ports(33)[:61]+"…")},
		{labels{"eru.publish": "http"}, `eru.publish="http": want ports from 1 to 65535, as in 80,443`},
		{labels{"eru.health.interval": "5"}, `eru.health.interval="5": want a duration from 100ms to 1h0m0s, as in 5s`},
		{labels{"eru.health.interval": "99ms"}, `eru.health.interval="99ms": want a duration from 100ms to 1h0m0s, as in 5s`},
		{labels{"eru.health.interval": "61m"}, `eru.health.interval="61m": want a duration from 100ms to 1h0m0s, as in 5s`},
		{labels{"eru.health.timeout": "-1s"}, `eru.health.timeout="-1s": want a duration from 10ms to 10s, as in 5s`},
		{labels{"eru.health.timeout": "2m"}, `eru.health.timeout="2m": want a duration from 10ms to 10s, as in 5s`},
		{labels{"eru.health.via": "netns"}, `eru.health.via="netns": want host: the agent probes from inside only with healthcheck.netns: true, which needs the capabilities of netns.conf, see docs/probes.md`},
		{labels{"eru.health.via": "moon"}, `eru.health.via="moon": want host, netns or both`},
		{labels{"ERU_META": ""}, `ERU_META="": want Eru's JSON: unexpected end of JSON input`},
		{labels{"ERU_META": "[]"}, `ERU_META="[]": want Eru's JSON: json: cannot unmarshal array into Go value of type healthcheck.meta`},
		{labels{"ERU_META": `{"HealthCheck":{"HTTPCode":"200"}}`}, `ERU_META="{\"HealthCheck\":{\"HTTPCode\":\"200\"}}": want Eru's JSON: HealthCheck.HTTPCode of type int, not string`},
		{labels{"ERU_META": `{"Publish":["x"]}`}, `ERU_META Publish="x": want ports from 1 to 65535, as in 80,443`},
		{labels{"ERU_META": `{"HealthCheck":{"TCPPorts":["80","x"]}}`}, `ERU_META HealthCheck.TCPPorts="80,x": want ports from 1 to 65535, as in 80,443`},
		{labels{"ERU_META": `{"HealthCheck":{"HTTPPort":"x"}}`}, `ERU_META HealthCheck.HTTPPort="x": want ports from 1 to 65535, as in 80,443`},
		{labels{"ERU_META": `{"HealthCheck":{"HTTPPort":"80","HTTPURL":"/a b"}}`}, `ERU_META HealthCheck.HTTPURL="/a b": want a path in ASCII without spaces; write others as %20`},
		{labels{"ERU_META": `{"HealthCheck":{"HTTPPort":"80","HTTPCode":42}}`}, `ERU_META HealthCheck.HTTPCode="42": want codes from 100 to 599, as in 200-299,404`},
		{labels{"ERU_META": `{"HealthCheck":{"HTTPURL":"/h"}}`}, `ERU_META HealthCheck.HTTPPort="": want a port, because HTTPURL or HTTPCode is set`},
	}
	for _, tt := range tests {
		t.Run(tt.want[:min(len(tt.want), 60)], func(t *testing.T) {
			_, err := healthcheck.NewParser(config()).Parse(tt.labels)
			var fault *healthcheck.LabelError
			if !errors.As(err, &fault) {
				t.Fatalf("%v is no LabelError", err)
			}
			if err.Error() != tt.want {
				t.Errorf("\ngot  %s\nwant %s", err, tt.want)
			}
			if len(err.Error()) > foreign.MaxText {
				t.Errorf("%s: %d bytes, and a status shows %d", err, len(err.Error()), foreign.MaxText)
			}
		})
	}
}

func TestErrorsOfHostileLabelsArePrintable(t *testing.T) {
	const port = "eru.health.http.port"
	for _, hostile := range []labels{
		{"eru.health.\x1b[31m" + strings.Repeat("x", 1<<20): strings.Repeat("\x00", 1<<20)},
		{port: "80", "eru.health.http.body": "(\x1b[31m\u202e\u0085" + strings.Repeat("x", 1000)},
		{port: "80", "eru.health.http.body": "[\xff\u2028"},
		{"ERU_META": `{"HealthCheck":` + "\x1b[31m"},
	} {
		_, err := healthcheck.NewParser(config()).Parse(hostile)
		if err == nil || len(err.Error()) > 2000 || strings.ContainsFunc(err.Error(), func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%.300q", err)
		}
	}
}

// oneKind is a prober as an owner would compile in.
type oneKind struct {
	kind   string
	probes int
}

func (k oneKind) Kind() string { return k.kind }

func (k oneKind) Parse(s *healthcheck.Settings) ([]healthcheck.Probe, error) {
	port, err := s.Port("port")
	if err != nil {
		return nil, err
	}
	return slices.Repeat([]healthcheck.Probe{{Kind: k.kind, Name: k.kind, Port: port}}, k.probes), nil
}

func TestCompiledInKind(t *testing.T) {
	parser := healthcheck.NewParser(config(), oneKind{"redis", 1}, oneKind{"none", 0})
	check, err := parser.Parse(labels{"eru.health.redis.port": "6379"})
	if err != nil || len(check.Probes) != 1 || !slices.Equal(check.Publish, []uint16{6379}) {
		t.Errorf("%+v, %v", check, err)
	}
	for label, want := range map[string]string{
		"eru.health.redis.prot":  `eru.health.redis.prot="1": want a label that the redis probe knows, perhaps eru.health.redis.port`,
		"eru.health.reddis.port": `eru.health.reddis.port="1": want a known label, perhaps eru.health.redis.port`,
		"eru.health.none.port":   `eru.health.none.port="1": want labels that make a probe`,
		"eru.health.mysql.port":  `eru.health.mysql.port="1": want interval, timeout, network, via or a label of a kind that this agent knows: http, tcp, redis, none`,
	} {
		if _, err := parser.Parse(labels{label: "1"}); err == nil || err.Error() != want {
			t.Errorf("\ngot  %v\nwant %s", err, want)
		}
	}
}

func TestBadKindsPanic(t *testing.T) {
	for _, kind := range []string{"", "http", "a.b", "Dubbo"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("kind %q did not panic", kind)
				}
			}()
			healthcheck.NewParser(config(), oneKind{kind, 1})
		}()
	}
}

// TestReadLabels says in words what labels come to, also those that are wrong.
func TestReadLabels(t *testing.T) {
	p := healthcheck.NewParser(healthcheck.Config{MinInterval: time.Millisecond})
	for name, tt := range map[string]struct {
		labels map[string]string
		want   []string
	}{
		"flat": {map[string]string{"ERU": "1", "eru.health.http.port": "80", "eru.health.http.header.X-A": "b", "eru.health.interval": "5s", "eru.publish": "80", "other": "x"},
			[]string{"ERU=1: the agent is to watch the container", "eru.health.http.header.X-A=b: send the header X-A", "eru.health.http.port=80: ask HTTP on this port",
				"eru.health.interval=5s: a probe each 5s", "eru.publish=80: proxies may send to these ports of the container"}},
		"ERU_META under a flat label": {map[string]string{"ERU_META": `{"Publish":["80"],"HealthCheck":{"TCPPorts":["81"],"HTTPPort":"80","HTTPURL":"/h"}}`, "eru.health.http.path": "/other"},
			[]string{"ERU_META HealthCheck.HTTPCode=200-499: any of these codes passes", "ERU_META HealthCheck.HTTPURL=/h: replaced by eru.health.http.path",
				"ERU_META HealthCheck.HTTPPort=80: ask HTTP on this port", "ERU_META HealthCheck.TCPPorts=81: each of these ports must take a connection",
				"ERU_META Publish=80: proxies may send to these ports of the container", "eru.health.http.path=/other: ask for this path"}},
		"a wrong port": {map[string]string{"eru.health.tcp.ports": "0"}, []string{"eru.health.tcp.ports=0: cannot be understood: want ports from 1 to 65535, as in 80,443"}},
		"no JSON":      {map[string]string{"ERU_META": "{"}, []string{"ERU_META={: cannot be understood: want Eru's JSON: unexpected end of JSON input"}},
		"one is missing": {map[string]string{"eru.health.http.path": "/"}, []string{"eru.health.http.path=/: ask for this path",
			"eru.health.http.port=: cannot be understood: want a port, because another label of the http probe is set"}},
	} {
		var got []string
		for _, r := range p.Read(tt.labels) {
			got = append(got, r.Label+"="+r.Value+": "+r.Meaning)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s:\ngot  %q\nwant %q", name, got, tt.want)
		}
	}
}
