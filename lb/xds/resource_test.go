package xds_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/projecteru2/eru-agent/lb"
	"github.com/projecteru2/eru-agent/lb/xds"
	"github.com/projecteru2/eru-agent/status"
)

// TestGolden holds what is served, in each protocol, to the byte and to Envoy's
// published protos with the rules that they bear.
func TestGolden(t *testing.T) {
	eachProtocol(t, func(t *testing.T, open func(*outlet, string) stream) {
		cfg := web()
		cfg.Routes = append(cfg.Routes,
			lb.Route{App: "shop", Entrypoint: "web", Port: "9000", Backend: "shop-web_admin"},
			lb.Route{App: "empty", Entrypoint: "api", Backend: "empty-api"})
		o := start(t, cfg)
		two := ready("two", "10.0.0.2:32768")
		two.Status.Endpoints["9000"] = "10.0.0.2:32769"
		two.Status.Endpoints["443"] = "10.0.0.2:32770"
		o.apply(
			service(
				ready("one", "10.0.0.1:80"),
				two,
				server("three", "10.0.0.3:80", status.UseNone, status.StateUnhealthy),
				server("four", "10.0.0.4:80", status.UseDrain, status.StateDraining),
				server("five", "10.0.0.5:80", status.UseNone, status.StateStopped),
				on("n2", server("kept", "[fd00::7]:80", status.UseReady, status.StateUnhealthy)),
				on("n3", server("six", "10.0.0.6:80", status.UseNone, status.StateStarting)),
			),
			&status.Service{App: "empty", Entrypoint: "api"},
		)
		s := open(o, "golden")
		var all []*anypb.Any
		for _, typeURL := range []string{resource.ListenerType, resource.RouteType, resource.ClusterType, resource.EndpointType} {
			s.ask(typeURL, "shop-web", "shop-web_admin", "empty-api")
			a := s.answer()
			s.confirm(a)
			all = append(all, a.resources...)
		}
		golden(t, "resources.golden", text(t, all))
	})
}

// text prints resources in a fixed order, each validated.
func text(t *testing.T, all []*anypb.Any) []byte {
	t.Helper()
	list := make([]string, 0, len(all))
	for _, a := range all {
		m := valid(t, a)
		b, err := protojson.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer // protojson puts in spaces at random
		if err := json.Compact(&out, b); err != nil {
			t.Fatal(err)
		}
		list = append(list, fmt.Sprintf("%s\n%s\n\n", m.ProtoReflect().Descriptor().FullName(), indented(t, out.Bytes())))
	}
	slices.Sort(list)
	return []byte(strings.Join(list, ""))
}

func indented(t *testing.T, b []byte) string {
	t.Helper()
	var out bytes.Buffer
	if err := json.Indent(&out, b, "", "  "); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// valid decodes what was packed, and what is packed in it, of types that are
// linked; it fails if anything is unknown or against the rules of the protos.
func valid(t testing.TB, packed *anypb.Any) proto.Message {
	t.Helper()
	m, err := packed.UnmarshalNew()
	if err != nil {
		t.Fatal(err)
	}
	rules, ok := m.(interface{ ValidateAll() error })
	if !ok {
		t.Fatalf("%T bears no rules", m)
	}
	if err := rules.ValidateAll(); err != nil {
		t.Fatalf("%T: %v", m, err)
	}
	walk(t, m.ProtoReflect())
	return m
}

// walk goes through a message and all that are in it.
func walk(t testing.TB, m protoreflect.Message) {
	t.Helper()
	if len(m.GetUnknown()) > 0 {
		t.Fatalf("%s has fields that are not known", m.Descriptor().FullName())
	}
	if packed, ok := m.Interface().(*anypb.Any); ok {
		valid(t, packed)
		return
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Message() == nil || f.IsMap():
		case f.IsList():
			for i := range v.List().Len() {
				walk(t, v.List().Get(i).Message())
			}
		default:
			walk(t, v.Message())
		}
		return true
	})
}

// served asks for the endpoints of shop-web.
func served(t testing.TB, o *outlet) *endpoint.ClusterLoadAssignment {
	t.Helper()
	s := openSotw(t, o, "asks")
	defer s.close()
	s.ask(resource.EndpointType, "shop-web")
	a := s.answer()
	if len(a.resources) != 1 {
		t.Fatalf("%d resources", len(a.resources))
	}
	return valid(t, a.resources[0]).(*endpoint.ClusterLoadAssignment)
}

// brief is an assignment in a line: node/weight: address health.
func brief(a *endpoint.ClusterLoadAssignment) string {
	var b strings.Builder
	for _, node := range a.Endpoints {
		fmt.Fprintf(&b, "%s/%d:", node.Locality.SubZone, node.LoadBalancingWeight.GetValue())
		for _, e := range node.LbEndpoints {
			at := e.GetEndpoint().Address.GetSocketAddress()
			addr := netip.AddrPortFrom(netip.MustParseAddr(at.Address), uint16(at.GetPortValue()))
			fmt.Fprintf(&b, " %s %s", addr, strings.ToLower(e.HealthStatus.String()))
		}
		b.WriteString("; ")
	}
	return strings.TrimSuffix(b.String(), "; ")
}

func TestAssignment(t *testing.T) {
	ports := func(m map[string]string) status.Server {
		s := ready("ports", "")
		s.Status.Endpoints = m
		return s
	}
	for name, c := range map[string]struct {
		port    string
		servers []status.Server
		want    string
	}{
		"none": {},
		"weights are what is ready": {
			servers: []status.Server{
				ready("a", "10.0.0.1:80"), ready("b", "10.0.0.2:80"), server("c", "10.0.0.3:80", status.UseDrain, status.StateDraining),
				on("n2", ready("d", "10.0.0.4:80")), on("n3", server("e", "10.0.0.5:80", status.UseNone, status.StatePaused)),
			},
			want: "n1/2: 10.0.0.1:80 healthy 10.0.0.2:80 healthy 10.0.0.3:80 draining; n2/1: 10.0.0.4:80 healthy; n3/0: 10.0.0.5:80 unhealthy",
		},
		"nodes are together in any order": {
			servers: []status.Server{ready("b", "10.0.0.2:80"), on("n2", ready("d", "10.0.0.4:80")), ready("a", "10.0.0.1:80")},
			want:    "n1/2: 10.0.0.1:80 healthy 10.0.0.2:80 healthy; n2/1: 10.0.0.4:80 healthy",
		},
		"kept in a panic": {
			servers: []status.Server{
				server("a", "10.0.0.1:80", status.UseReady, status.StateUnhealthy), server("b", "10.0.0.2:80", status.UseNone, status.StateUnhealthy),
			},
			want: "n1/1: 10.0.0.1:80 healthy 10.0.0.2:80 unhealthy",
		},
		"the last one stays although it has stopped": {
			servers: []status.Server{server("a", "10.0.0.1:80", status.UseReady, status.StateStopped)},
			want:    "n1/1: 10.0.0.1:80 healthy",
		},
		"stopped and lost are left out": {
			servers: []status.Server{
				server("a", "10.0.0.1:80", status.UseNone, status.StateStopped), server("b", "10.0.0.2:80", status.UseNone, status.StateLost), ready("c", "10.0.0.3:80"),
			},
			want: "n1/1: 10.0.0.3:80 healthy",
		},
		"an address that is used again": {
			servers: []status.Server{
				server("a", "10.0.0.1:80", status.UseNone, status.StateUnhealthy), on("n2", ready("b", "10.0.0.1:80")), on("n3", server("c", "10.0.0.1:80", status.UseDrain, status.StateDraining)),
			},
			want: "n2/1: 10.0.0.1:80 healthy",
		},
		"the lowest port": {servers: []status.Server{ports(map[string]string{"8080": "10.0.0.1:8", "443": "10.0.0.1:4", "x": "10.0.0.1:1"})}, want: "n1/1: 10.0.0.1:4 healthy"},
		"a port":          {port: "8080", servers: []status.Server{ports(map[string]string{"8080": "10.0.0.1:8", "443": "10.0.0.1:4"})}, want: "n1/1: 10.0.0.1:8 healthy"},
		"without that port": {
			port: "81", servers: []status.Server{ready("a", "10.0.0.1:80")},
		},
		"without endpoints":         {servers: []status.Server{ports(nil)}},
		"a name":                    {servers: []status.Server{ready("a", "localhost:80")}},
		"port 0":                    {servers: []status.Server{ready("a", "10.0.0.1:0")}},
		"an address with a zone":    {servers: []status.Server{ready("a", "[fe80::1%eth0]:80")}},
		"an IPv4 address as IPv6":   {servers: []status.Server{ready("a", "[::ffff:10.0.0.1]:80")}, want: "n1/1: 10.0.0.1:80 healthy"},
		"an address that is no one": {servers: []status.Server{ready("a", "")}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := web()
			cfg.Routes[0].Port = c.port
			o := start(t, cfg)
			o.apply(service(c.servers...))
			if got := brief(served(t, o)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// FuzzAssignment holds that nothing that stands in etcd makes an assignment
// that a client refuses: one against the rules of the protos, or, which gRPC
// adds to them, with an address twice.
func FuzzAssignment(f *testing.F) {
	f.Add("80", "10.0.0.1:80", "80", "10.0.0.1:80", "n2", 2)
	f.Add("", "[::ffff:10.0.0.1]:1", "x", "[::1%1]:70000", "", 0)
	f.Fuzz(func(t *testing.T, port1, addr1, port2, addr2, node string, use int) {
		one, two := ready("a", addr1), ready("b", addr2)
		one.Status.Endpoints = map[string]string{port1: addr1}
		two.Status.Endpoints, two.Use = map[string]string{port2: addr2}, status.Use(use)
		a := xds.Assignment(lb.Route{App: "shop", Entrypoint: "web", Backend: "shop-web"}, []status.Server{one, on(node, two)})
		packed, err := anypb.New(a)
		if err != nil {
			t.Skip(err) // not UTF-8, which JSON cannot be
		}
		valid(t, packed)
		seen := map[string]bool{}
		for _, node := range a.Endpoints {
			for _, e := range node.LbEndpoints {
				if at := e.GetEndpoint().Address.String(); seen[at] {
					t.Errorf("%s twice", at)
				} else {
					seen[at] = true
				}
			}
		}
	})
}
