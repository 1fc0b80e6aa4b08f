package healthcheck_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/healthcheck"
)

var update = flag.Bool("update", false, "write the golden files anew")

// elsewhere publishes each port at 10.0.0.5, 10,000 higher.
func elsewhere(port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr("10.0.0.5"), port+10000)
}

// describedAtMost is the bound of a description, in bytes.
const describedAtMost = 4 << 10

var ownAddr = netip.MustParseAddr("172.17.0.7")

func describedAs(t *testing.T, p *healthcheck.Parser, labels map[string]string) []byte {
	t.Helper()
	c, err := p.Parse(labels)
	if err != nil {
		t.Fatal(err)
	}
	return c.Describe(ownAddr, elsewhere)
}

// TestDescribeGolden holds what stands of a check in etcd to the byte.
func TestDescribeGolden(t *testing.T) {
	p := healthcheck.NewParser(config(), echoProber{})
	var got bytes.Buffer
	for _, labels := range []map[string]string{
		{"ERU_META": `{"Publish":["80"],"HealthCheck":{"TCPPorts":["5001","5002"],"HTTPPort":"80","HTTPURL":"h","HTTPCode":200}}`},
		{"eru.health.http.port": "443", "eru.health.http.scheme": "https", "eru.health.http.header.X-A": "b <é>", "eru.health.http.body": "ok", "eru.health.interval": "90s", "eru.health.timeout": "300ms"},
		{"eru.health.http.port": "80", "eru.health.http.host": "shop.test"},
		{"eru.health.echo.port": "7", "eru.health.echo.word": "ping"},
	} {
		got.Write(describedAs(t, p, labels))
		got.WriteByte('\n')
	}
	file := filepath.Join("testdata", "describe.golden")
	if *update {
		if err := os.WriteFile(file, got.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("got\n%s\nwant\n%s", got.Bytes(), want)
	}
}

// echoProber is a kind that somebody compiled in.
type echoProber struct{}

func (echoProber) Kind() string { return "echo" }

func (echoProber) Parse(s *healthcheck.Settings) ([]healthcheck.Probe, error) {
	port, err := s.Port("port")
	if err != nil {
		return nil, err
	}
	word := s.String("word", "hello")
	return []healthcheck.Probe{{Kind: "echo", Name: "echo " + word, Port: port, Run: func(ctx context.Context, t healthcheck.Target) healthcheck.Verdict {
		conn, err := t.Dial(ctx, port)
		if err != nil {
			return healthcheck.FailFrom("connecting", err)
		}
		_ = conn.Close()
		return healthcheck.Verdict{Pass: true}
	}}}, nil
}

// What cannot be asked from elsewhere is not described.
func TestNotDescribed(t *testing.T) {
	p := healthcheck.NewParser(config())
	for name, tt := range map[string]struct {
		labels map[string]string
		at     func(uint16) netip.AddrPort
	}{
		"no check":           {map[string]string{"eru.publish": "80"}, elsewhere},
		"nowhere to be seen": {map[string]string{"eru.health.http.port": "80"}, func(uint16) netip.AddrPort { return netip.AddrPort{} }},
		"one port of two":    {map[string]string{"eru.health.tcp.ports": "80,81"}, func(p uint16) netip.AddrPort { return map[uint16]netip.AddrPort{80: elsewhere(80)}[p] }},
		"too large":          {map[string]string{"eru.health.http.port": "80", "eru.health.http.header.X": strings.Repeat("x", describedAtMost)}, elsewhere},
	} {
		c, err := p.Parse(tt.labels)
		if err != nil {
			t.Fatal(err)
		}
		if b := c.Describe(ownAddr, tt.at); b != nil {
			t.Errorf("%s: %s", name, b)
		}
	}
}

// A check that is read again on another host is the same one: its probes, its
// pace, and where each port is dialled.
func TestRecall(t *testing.T) {
	p := healthcheck.NewParser(config(), echoProber{})
	labels := map[string]string{
		"eru.health.http.port": "80", "eru.health.http.path": "/h", "eru.health.tcp.ports": "5001,5002", "eru.health.echo.port": "7",
		"eru.health.interval": "7s", "eru.health.timeout": "250ms",
	}
	first := describedAs(t, p, labels)
	c, target, err := p.Recall(first)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, probe := range c.Probes {
		names = append(names, probe.Name)
	}
	if got := strings.Join(names, ", "); got != "http :80/h, tcp :5001, tcp :5002, echo hello" || c.Interval != 7*time.Second || c.Timeout != 250*time.Millisecond {
		t.Errorf("%s each %s within %s", got, c.Interval, c.Timeout)
	}
	for _, port := range []uint16{80, 5001, 5002, 7} {
		if target.Ports[port] != elsewhere(port) {
			t.Errorf("port %d is at %s", port, target.Ports[port])
		}
	}
	if again := c.Describe(ownAddr, func(p uint16) netip.AddrPort { return target.Ports[p] }); !bytes.Equal(first, again) {
		t.Errorf("described as %s, then as %s", first, again)
	}
}

func TestRecallRefuses(t *testing.T) {
	const at = `"at":{"80":"10.0.0.5:32768"}`
	http := func(at string) string {
		return `{"interval":"5s","timeout":"2s","probes":[{"kind":"http","settings":{"port":"80"},` + at + `}]}`
	}
	p := healthcheck.NewParser(config())
	for encoded, want := range map[string]string{
		"":                                 "reading a check: unexpected end of JSON input",
		"null":                             "reading a check: it has no probes",
		`{"interval":"x"}`:                 `reading a check: time: invalid duration "x"`,
		`{"probes":[{}]}`:                  `reading a check: a probe of kind "", which this agent does not know: http, tcp`,
		http(`"at":{}`):                    `reading a check: http: port 80 is at "invalid AddrPort", want an address and a port`,
		http(`"at":{"80":"10.0.0.5:0"}`):   `reading a check: http: port 80 is at "10.0.0.5:0", want an address and a port`,
		http(`"at":{"80":"0.0.0.0:80"}`):   `reading a check: http: port 80 is at "0.0.0.0:80", want an address and a port`,
		http(`"at":{"80":"224.0.0.1:80"}`): `reading a check: http: port 80 is at "224.0.0.1:80", want an address and a port`,
		http(`"at":{"80":"shop.test:80"}`): `reading a check: ParseAddr("shop.test"): unexpected character (at "shop.test")`,
		`{"probes":[{"kind":"dubbo"}]}`:    `reading a check: a probe of kind "dubbo", which this agent does not know: http, tcp`,
		`{"probes":[{"kind":"http","settings":{"port":"80","colour":"red"},` + at + `}]}`:                                                     `reading a check: eru.health.http.colour="red": want a label that the http probe knows`,
		`{"probes":[{"kind":"http","settings":{"port":"80"},` + at + `},{"kind":"tcp","settings":{"ports":"80"},"at":{"80":"10.0.0.6:80"}}]}`: "reading a check: port 80 is at 10.0.0.5:32768 and at 10.0.0.6:80",
		strings.Repeat(" ", describedAtMost+1): "reading a check: 4097 bytes, at most 4096 are read",
	} {
		if _, _, err := p.Recall([]byte(encoded)); err == nil || err.Error() != want {
			t.Errorf("%.200s: %v, want %s", encoded, err, want)
		}
	}
}

// Another host's limits hold for what it is told.
func TestRecallKeepsTheLimits(t *testing.T) {
	p := healthcheck.NewParser(config())
	c, _, err := p.Recall([]byte(`{"interval":"-1ns","timeout":"9000h","probes":[{"kind":"tcp","settings":{"ports":"80"},"at":{"80":"10.0.0.5:80"}}]}`))
	if err != nil || c.Interval != config().MinInterval || c.Timeout != healthcheck.MaxTimeout {
		t.Errorf("%s, %s: %v", c.Interval, c.Timeout, err)
	}
}

// A recalled check asks the same question of the same container, and nothing is
// dialled but where its ports are said to be.
func TestRecalledProbes(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	requests := make(chan string, 1)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			b := make([]byte, 4096)
			n, _ := conn.Read(b)
			_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\n\r\n"))
			_ = conn.Close()
			requests <- string(b[:n])
		}
	}()
	defer l.Close()
	at := l.Addr().(*net.TCPAddr).AddrPort()
	p := healthcheck.NewParser(config())
	own, err := p.Parse(map[string]string{"eru.health.http.port": "80"})
	if err != nil {
		t.Fatal(err)
	}
	c, target, err := p.Recall(own.Describe(ownAddr, func(uint16) netip.AddrPort { return at }))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if v := c.Ask(ctx, target, nil); !v.Pass {
		t.Errorf("%+v", v)
	}
	if got := <-requests; !strings.Contains(got, "\r\nHost: 172.17.0.7:80\r\n") {
		t.Errorf("it asked %q", got)
	}
	delete(target.Ports, 80)
	if v := c.Ask(ctx, target, nil); v.Pass || v.Reason != healthcheck.ReasonAgent {
		t.Errorf("of a port that is nowhere it says %+v", v)
	}
}

// FuzzRecall holds that nothing which stands in etcd makes a monitor panic, or
// dial what is no address, and that what it takes is written as it was read.
func FuzzRecall(f *testing.F) {
	f.Add([]byte(`{"interval":"5s","timeout":"2s","probes":[{"kind":"http","settings":{"port":"80","host":"a:80"},"at":{"80":"10.0.0.5:32768"}}]}`))
	f.Add([]byte(`{"probes":[{"kind":"tcp","settings":{"ports":"1,2"},"at":{"1":"[fe80::1%eth0]:1","2":"[::]:1"}}]}`))
	f.Add([]byte(`{"probes":[{"kind":"http","settings":{"port":"80","body":"(a*)*","path":"\ud800"},"at":null}]}`))
	p := healthcheck.NewParser(config())
	f.Fuzz(func(t *testing.T, encoded []byte) {
		c, target, err := p.Recall(encoded)
		if err != nil {
			return
		}
		for _, place := range target.Places() {
			if !place.IsValid() || place.Port() == 0 || place.Addr().IsUnspecified() {
				t.Errorf("%q is dialled at %s", encoded, place)
			}
		}
		at := func(port uint16) netip.AddrPort { return target.Ports[port] }
		first := c.Describe(target.Addr, at)
		if first == nil {
			return // it grew beyond what is described
		}
		again, _, err := p.Recall(first)
		if err != nil {
			t.Fatalf("%q is written as %q: %v", encoded, first, err)
		}
		if twice := again.Describe(target.Addr, at); !bytes.Equal(first, twice) || !json.Valid(first) {
			t.Errorf("written as %q, then as %q", first, twice)
		}
	})
}
