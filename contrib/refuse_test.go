package contrib

import (
	"testing"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	rpc "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// refuse has a client of xDS not take what it is served.
func refuse(t *testing.T, plane string) {
	t.Helper()
	conn, err := grpc.NewClient(plane, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	s, err := discovery.NewAggregatedDiscoveryServiceClient(conn).StreamAggregatedResources(t.Context(), grpc.WaitForReady(true))
	if err != nil {
		t.Fatal(err)
	}
	ask := &discovery.DiscoveryRequest{Node: &core.Node{Id: "fussy"}, TypeUrl: resource.ClusterType}
	if err := s.Send(ask); err != nil {
		t.Fatal(err)
	}
	served, err := s.Recv()
	if err != nil {
		t.Fatal(err)
	}
	ask.ResponseNonce, ask.ErrorDetail = served.GetNonce(), &rpc.Status{Message: "not for me"}
	if err := s.Send(ask); err != nil {
		t.Fatal(err)
	}
}
