package agent_test

import (
	"encoding/base64"
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/projecteru2/eru-agent/status"
)

func TestEndpoints(t *testing.T) {
	any4, ipv6 := netip.MustParseAddr("0.0.0.0"), netip.MustParseAddr("fd00::7")
	for _, tt := range []struct {
		name      string
		labels    map[string]string
		published map[uint16]netip.AddrPort
		addr      netip.Addr // of the container, if not its usual one
		host      bool
		noNodeIP  bool
		want      map[string]string
	}{
		{"probed port", probedLabels(), nil, netip.Addr{}, false, false, map[string]string{"80": "172.17.0.7:80"}},
		{"no port", plainLabels(), nil, netip.Addr{}, false, false, nil},
		{
			"published everywhere", probedLabels(), map[uint16]netip.AddrPort{80: netip.AddrPortFrom(any4, 32768)},
			netip.Addr{}, false, false, map[string]string{"80": "10.0.0.5:32768"},
		},
		{
			"published everywhere, IPv6", probedLabels(), map[uint16]netip.AddrPort{80: netip.MustParseAddrPort("[::]:32768")},
			netip.Addr{}, false, false, map[string]string{"80": "10.0.0.5:32768"},
		},
		{
			"published everywhere, node unknown", probedLabels(), map[uint16]netip.AddrPort{80: netip.AddrPortFrom(any4, 32768)},
			netip.Addr{}, false, true, map[string]string{"80": "172.17.0.7:80"},
		},
		{
			"published on one address", probedLabels(), map[uint16]netip.AddrPort{80: netip.MustParseAddrPort("192.0.2.1:8080")},
			netip.Addr{}, false, false, map[string]string{"80": "192.0.2.1:8080"},
		},
		{
			"another port published", probedLabels(), map[uint16]netip.AddrPort{81: netip.AddrPortFrom(any4, 32768)},
			netip.Addr{}, false, false, map[string]string{"80": "172.17.0.7:80"},
		},
		{"host network", probedLabels(), nil, netip.MustParseAddr("127.0.0.1"), true, false, map[string]string{"80": "10.0.0.5:80"}},
		{"host network, node unknown", probedLabels(), nil, netip.MustParseAddr("127.0.0.1"), true, true, nil},
		{"IPv6", probedLabels(), nil, ipv6, false, false, map[string]string{"80": "[fd00::7]:80"}},
		{
			"eru.publish", map[string]string{"eru.health.http.port": "80", "eru.publish": "443,8443"}, nil,
			netip.Addr{}, false, false, map[string]string{"443": "172.17.0.7:443", "8443": "172.17.0.7:8443"},
		},
		{
			"ERU_META", map[string]string{"ERU_META": `{"Publish":["80"],"HealthCheck":{"TCPPorts":["5001"]}}`}, nil,
			netip.Addr{}, false, false, map[string]string{"80": "172.17.0.7:80"},
		},
		{
			"ERU_META probed", map[string]string{"ERU_META": `{"HealthCheck":{"TCPPorts":["5001","5002"]}}`}, nil,
			netip.Addr{}, false, false, map[string]string{"5001": "172.17.0.7:5001", "5002": "172.17.0.7:5002"},
		},
		{
			"eru.publish before ERU_META", map[string]string{"ERU_META": `{"Publish":["80"]}`, "eru.publish": "81"}, nil,
			netip.Addr{}, false, false, map[string]string{"81": "172.17.0.7:81"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := nodeConfig()
				if tt.noNodeIP {
					cfg.NodeIP = netip.Addr{}
				}
				r := newRig(t, cfg)
				r.adopt()
				c := box("c1", tt.labels)
				c.Published, c.Host = tt.published, tt.host
				if tt.addr.IsValid() {
					c.Addr = tt.addr
				}
				r.running(c)
				_, s := r.only()
				if len(s.Endpoints)+len(tt.want) > 0 && !reflect.DeepEqual(s.Endpoints, tt.want) {
					t.Errorf("got %v, want %v", s.Endpoints, tt.want)
				}
			})
		})
	}
}

func TestNetworks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t)
		c := box("c1", plainLabels())
		c.Networks["front"] = netip.MustParseAddr("fd00::7")
		r.running(c)
		if _, s := r.only(); !reflect.DeepEqual(s.Networks, map[string]string{"bridge": "172.17.0.7", "front": "fd00::7"}) {
			t.Errorf("%v", s.Networks)
		}
		c.Networks, c.Host = nil, true
		r.running(c)
		if _, s := r.only(); !reflect.DeepEqual(s.Networks, map[string]string{"host": "10.0.0.5"}) {
			t.Errorf("%v", s.Networks)
		}
	})
}

func TestExtension(t *testing.T) {
	labels := map[string]string{"ERU": "1", "b": "2", "a": "<1>"}
	large := map[string]string{"ERU": "1", "x": strings.Repeat("x", 16<<10)}
	for _, tt := range []struct {
		name   string
		on     bool
		labels map[string]string
		there  bool
	}{{"on", true, labels, true}, {"off", false, labels, false}, {"too large", true, large, false}, {"none", true, nil, true}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := nodeConfig()
				cfg.Extension = tt.on
				r := newRig(t, cfg)
				c := box("c1", tt.labels)
				f := foundOf(c, status.StateHealthy, "")
				f.Status.Extension = "b2xk"
				r.adopt(f)
				r.running(c)
				_, s := r.only()
				checkExtension(t, s.Extension, tt.labels, tt.there)
				entries, err := r.agent.Containers(t.Context())
				if err != nil || len(entries) != 1 || entries[0].Status.Extension != "" {
					t.Errorf("%v, %v", entries, err)
				}
			})
		})
	}
}

func checkExtension(t *testing.T, extension string, labels map[string]string, there bool) {
	t.Helper()
	if !there {
		if extension != "" {
			t.Errorf("extension of %d bytes", len(extension))
		}
		return
	}
	b, err := base64.StdEncoding.DecodeString(extension)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	if err := json.Unmarshal(b, &got); err != nil || len(got) != len(labels) {
		t.Errorf("%s: %v", b, err)
	}
	for k, v := range labels {
		if got[k] != v {
			t.Errorf("%q is %q, want %q", k, got[k], v)
		}
	}
}
