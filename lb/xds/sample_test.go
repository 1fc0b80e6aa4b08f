package xds_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	bootstrap "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3" // in eds.yaml
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"            // in both
	"github.com/goccy/go-yaml"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	grpcxds "google.golang.org/grpc/xds"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/projecteru2/eru-agent/lb/xds"
)

// sample reads a configuration of Envoy as Envoy does, no field of which may be
// unknown or against the rules.
func sample(t *testing.T, file string) *bootstrap.Bootstrap {
	t.Helper()
	text, err := os.ReadFile("../../examples/envoy/" + file)
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	var b bootstrap.Bootstrap
	if err := protojson.Unmarshal(asJSON, &b); err != nil {
		t.Fatal(err)
	}
	packed, err := anypb.New(&b)
	if err != nil {
		t.Fatal(err)
	}
	valid(t, packed)
	return &b
}

// TestEnvoySamples holds that the samples are valid, that they ask where eru-lb
// serves by default, and for what it serves.
func TestEnvoySamples(t *testing.T) {
	for _, file := range []string{"eds.yaml", "cds.yaml"} {
		t.Run(file, func(t *testing.T) {
			b := sample(t, file)
			named := map[string]*cluster.Cluster{}
			for _, c := range b.StaticResources.Clusters {
				named[c.Name] = c
			}
			plane := b.DynamicResources.AdsConfig.GrpcServices[0].GetEnvoyGrpc().ClusterName
			at := named[plane].LoadAssignment.Endpoints[0].LbEndpoints[0].GetEndpoint().Address.GetSocketAddress()
			if got := net.JoinHostPort(at.Address, fmt.Sprint(at.GetPortValue())); got != xds.DefaultAddr {
				t.Errorf("asks at %s", got)
			}
			if web := named["shop-web"]; (file == "eds.yaml") != (web != nil) {
				t.Errorf("shop-web is %v", web)
			} else if web != nil && (web.GetType() != cluster.Cluster_EDS || web.CommonLbConfig.HealthyPanicThreshold.Value != 0) {
				t.Errorf("shop-web is %v", web)
			}
		})
	}
}

// TestGRPCSample calls through the sample, with the address of a test's server
// in the place of the default.
func TestGRPCSample(t *testing.T) {
	text, err := os.ReadFile("../../examples/grpc/bootstrap.json")
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(text, []byte(`"`+xds.DefaultAddr+`"`)); n != 1 {
		t.Fatalf("it names the default address %d times", n)
	}
	o, list := start(t, web()), startBackends(t, 1)
	o.apply(as(list, nil))
	text = bytes.Replace(text, []byte(xds.DefaultAddr), []byte(o.Addr().String()), 1)
	resolver, err := grpcxds.NewXDSResolverWithConfigForTesting(text)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient("xds:///shop-web", grpc.WithResolvers(resolver), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.Invoke(t.Context(), "/eru.Web/Ask", &emptypb.Empty{}, &emptypb.Empty{}); err != nil {
		t.Error(err)
	}
	within(t, "it is named", func() bool { return strings.Contains(metrics(t, o), `client="shop-front-1"`) })
}
