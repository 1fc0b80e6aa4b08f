package xds_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	endpoints "github.com/envoyproxy/go-control-plane/envoy/service/endpoint/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/projecteru2/eru-agent/lb/xds"
	"github.com/projecteru2/eru-agent/status"
)

// metrics are those of an outlet as Prometheus reads them.
func metrics(t testing.TB, o *outlet) string {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(o)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

func TestStreamsAreBounded(t *testing.T) {
	cfg := web()
	cfg.MaxStreams = 2
	o := start(t, cfg)
	first := openSotw(t, o, "one")
	silence(t, first)
	silence(t, openDelta(t, o, "two"))
	for range 2 {
		third := openSotw(t, o, "three")
		third.ask(resource.ClusterType)
		if _, err := third.stream.Recv(); grpcstatus.Code(err) != codes.ResourceExhausted {
			t.Fatalf("a third stream: %v", err)
		}
	}
	if n := o.logs.FilterMessageSnippet("turned away").Len(); n != 1 {
		t.Errorf("said %d times", n)
	}
	if !strings.Contains(metrics(t, o), "eru_lb_xds_turned_away_total 2\n") {
		t.Errorf("counted:\n%s", metrics(t, o))
	}
	first.close()
	within(t, "there is room again", func() bool { return strings.Contains(metrics(t, o), `eru_lb_xds_streams{protocol="sotw"} 0`) })
	silence(t, openSotw(t, o, "four"))
}

// TestTypesThatAreNotServed: an unknown type costs a stream nothing, many do.
func TestTypesThatAreNotServed(t *testing.T) {
	eachProtocol(t, func(t *testing.T, open func(*outlet, string) stream) {
		o := start(t, web())
		s := open(o, "c")
		s.ask("type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret", "secret")
		s.ask("nonsense")
		silence(t, s)
	})
	o := start(t, web())
	s := openSotw(t, o, "c")
	for i := range 16 {
		s.ask(fmt.Sprintf("nonsense%d", i))
	}
	s.ask("one more")
	if _, err := s.stream.Recv(); grpcstatus.Code(err) != codes.InvalidArgument {
		t.Errorf("too many types: %v", err)
	}
}

func TestALargeRequestIsRefused(t *testing.T) {
	o := start(t, web())
	s := openSotw(t, o, "c")
	s.ask(resource.EndpointType, strings.Repeat("x", 1<<20))
	if _, err := s.stream.Recv(); grpcstatus.Code(err) != codes.ResourceExhausted {
		t.Errorf("a request of 1 MiB: %v", err)
	}
	silence(t, openSotw(t, o, "c"))
}

// TestServicesOfTheirOwn: endpoints alone may be followed without ADS.
func TestServicesOfTheirOwn(t *testing.T) {
	o := start(t, web())
	o.apply(service(ready("a", "10.0.0.1:80")))
	conn, err := grpc.NewClient(o.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	eds := endpoints.NewEndpointDiscoveryServiceClient(conn)
	sotw, err := eds.StreamEndpoints(ctx)
	if err != nil {
		t.Fatal(err)
	}
	delta, err := eds.DeltaEndpoints(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := sotw.Send(&discovery.DiscoveryRequest{ResourceNames: []string{"shop-web"}}); err != nil {
		t.Fatal(err)
	}
	if err := delta.Send(&discovery.DeltaDiscoveryRequest{ResourceNamesSubscribe: []string{"shop-web"}}); err != nil {
		t.Fatal(err)
	}
	if r, err := sotw.Recv(); err != nil || len(r.Resources) != 1 {
		t.Errorf("%v, %v", r, err)
	}
	if r, err := delta.Recv(); err != nil || len(r.Resources) != 1 {
		t.Errorf("%v, %v", r, err)
	}
	if _, err := eds.FetchEndpoints(ctx, &discovery.DiscoveryRequest{}); grpcstatus.Code(err) != codes.Unimplemented {
		t.Errorf("polling: %v", err)
	}
}

func TestMetrics(t *testing.T) {
	o := start(t, web())
	o.apply(service(ready("a", "10.0.0.1:80")))
	s := openDelta(t, o, "client-1")
	s.ask(resource.EndpointType, "shop-web")
	s.confirm(s.answer())
	silence(t, s)
	text := func(streams, client string) string {
		return `# HELP eru_lb_xds_refused_total Answers that a client of xDS refused (NACK), by type of resource.
# TYPE eru_lb_xds_refused_total counter
eru_lb_xds_refused_total{type="Cluster"} 0
eru_lb_xds_refused_total{type="ClusterLoadAssignment"} 0
eru_lb_xds_refused_total{type="Listener"} 0
eru_lb_xds_refused_total{type="RouteConfiguration"} 0
eru_lb_xds_refused_total{type="other"} 0
# HELP eru_lb_xds_servers_left_out Servers that would be used and do not publish the port.
# TYPE eru_lb_xds_servers_left_out gauge
eru_lb_xds_servers_left_out{backend="shop-web"} 0
# HELP eru_lb_xds_streams Streams of clients of xDS.
# TYPE eru_lb_xds_streams gauge
eru_lb_xds_streams{protocol="delta"} ` + streams + `
eru_lb_xds_streams{protocol="sotw"} 0
# HELP eru_lb_xds_turned_away_total Streams that were refused because there were as many as there may be.
# TYPE eru_lb_xds_turned_away_total counter
eru_lb_xds_turned_away_total 0
# HELP eru_lb_xds_unconfirmed_total Times that a client of xDS did not confirm a change of its endpoints in time.
# TYPE eru_lb_xds_unconfirmed_total counter
eru_lb_xds_unconfirmed_total 0
# HELP eru_lb_xds_version Version of the endpoints that is served.
# TYPE eru_lb_xds_version gauge
eru_lb_xds_version 1
` + client
	}
	address := metrics(t, o)
	_, address, _ = strings.Cut(address, `address="`)
	address, _, _ = strings.Cut(address, `"`)
	client := "# HELP eru_lb_xds_client_version Version of the endpoints that a client of xDS has confirmed, of several streams the lowest.\n" +
		"# TYPE eru_lb_xds_client_version gauge\neru_lb_xds_client_version{address=\"" + address + "\",client=\"client-1\"} 1\n"
	if err := testutil.CollectAndCompare(o, strings.NewReader(text("1", client))); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.CollectAndLint(o); err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
	s.close()
	within(t, "the client leaves no series", func() bool { return !strings.Contains(metrics(t, o), "client-1") })
	if err := testutil.CollectAndCompare(o, strings.NewReader(text("0", ""))); err != nil {
		t.Error(err)
	}
}

func TestWhatIsWrongFailsAtOnce(t *testing.T) {
	o := start(t, web())
	for name, c := range map[string]struct {
		cfg  xds.Config
		want string
	}{
		"taken":     {xds.Config{Addr: o.Addr().String()}, "address already in use"},
		"no addr":   {xds.Config{Addr: "127.0.0.1"}, "missing port"},
		"key alone": {xds.Config{TLS: xds.TLS{Key: "x"}}, "go together"},
		"ca alone":  {xds.Config{TLS: xds.TLS{ClientCA: "x"}}, "go together"},
		"no file":   {xds.Config{TLS: xds.TLS{Cert: "/nowhere", Key: "/nowhere"}}, "/nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := xds.New(c.cfg, zap.NewNop())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// TestAWrongPort is counted, and named once however often it is met.
func TestAWrongPort(t *testing.T) {
	cfg := web()
	cfg.Routes[0].Port = "81"
	o := start(t, cfg)
	o.apply(service(ready("a", "10.0.0.1:80"), server("b", "10.0.0.2:80", status.UseNone, status.StateUnhealthy)))
	o.apply(service(ready("a", "10.0.0.1:80"), ready("b", "10.0.0.2:80")))
	if want := `eru_lb_xds_servers_left_out{backend="shop-web"} 2`; !strings.Contains(metrics(t, o), want) {
		t.Errorf("counted:\n%s", metrics(t, o))
	}
	if n := o.logs.FilterMessageSnippet("left out").FilterField(zap.Stringer("service", cfg.Routes[0])).Len(); n != 1 {
		t.Errorf("named %d times, of %d lines", n, o.logs.Len())
	}
	o.apply(service())
	o.apply(service(ready("a", "10.0.0.1:80")))
	if n := o.logs.FilterMessageSnippet("left out").Len(); n != 2 {
		t.Errorf("named %d times after it was over", n)
	}
}
