package xds_test

import (
	"context"
	"errors"
	"io"
	"testing"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	rpc "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/anypb"
)

// connect dials an outlet.
func connect(t testing.TB, o *outlet, opts ...grpc.DialOption) discovery.AggregatedDiscoveryServiceClient {
	t.Helper()
	if len(opts) == 0 {
		opts = append(opts, grpc.WithTransportCredentials(insecure.NewCredentials()))
	}
	conn, err := grpc.NewClient(o.Addr().String(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return discovery.NewAggregatedDiscoveryServiceClient(conn)
}

// stream is a client that speaks one of the two protocols by hand.
type stream interface {
	// ask follows names of a type; none are all of it.
	ask(typeURL string, names ...string)
	// again asks for a name as if it were not known yet.
	again(typeURL, name string)
	// answer waits for the next one.
	answer() answer
	confirm(answer)
	refuse(a answer, why string)
	close()
}

// answer is what both protocols have in common.
type answer struct {
	typeURL, version, nonce string
	resources               []*anypb.Any
	removed                 []string
}

// eachProtocol runs a test with each of the two.
func eachProtocol(t *testing.T, test func(*testing.T, func(*outlet, string) stream)) {
	t.Helper()
	t.Run("sotw", func(t *testing.T) {
		t.Parallel()
		test(t, func(o *outlet, node string) stream { return openSotw(t, o, node) })
	})
	t.Run("delta", func(t *testing.T) {
		t.Parallel()
		test(t, func(o *outlet, node string) stream { return openDelta(t, o, node) })
	})
}

// sotw is a stream of states of the world.
type sotw struct {
	t       testing.TB
	node    *core.Node
	stream  discovery.AggregatedDiscoveryService_StreamAggregatedResourcesClient
	cancel  context.CancelFunc
	names   map[string][]string
	version map[string]string // that was confirmed
	nonce   map[string]string // of the last answer
}

func openSotw(t testing.TB, o *outlet, node string) *sotw {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	s, err := connect(t, o).StreamAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return &sotw{t: t, node: &core.Node{Id: node}, stream: s, cancel: cancel, names: map[string][]string{}, version: map[string]string{}, nonce: map[string]string{}}
}

func (s *sotw) send(r *discovery.DiscoveryRequest) {
	s.t.Helper()
	r.Node, r.VersionInfo, r.ResourceNames = s.node, s.version[r.TypeUrl], s.names[r.TypeUrl]
	s.node = nil
	if err := s.stream.Send(r); err != nil && !errors.Is(err, io.EOF) { // Recv says why it has ended
		s.t.Fatal(err)
	}
}

func (s *sotw) ask(typeURL string, names ...string) {
	s.names[typeURL] = names
	s.send(&discovery.DiscoveryRequest{TypeUrl: typeURL, ResponseNonce: s.nonce[typeURL]})
}

func (s *sotw) again(typeURL, name string) {
	s.ask(typeURL)
	s.ask(typeURL, name)
}

func (s *sotw) answer() answer {
	s.t.Helper()
	r, err := s.stream.Recv()
	if err != nil {
		s.t.Fatal(err)
	}
	s.nonce[r.TypeUrl] = r.Nonce
	return answer{typeURL: r.TypeUrl, version: r.VersionInfo, nonce: r.Nonce, resources: r.Resources}
}

func (s *sotw) confirm(a answer) {
	s.version[a.typeURL] = a.version
	s.send(&discovery.DiscoveryRequest{TypeUrl: a.typeURL, ResponseNonce: a.nonce})
}

func (s *sotw) refuse(a answer, why string) {
	s.send(&discovery.DiscoveryRequest{TypeUrl: a.typeURL, ResponseNonce: a.nonce, ErrorDetail: &rpc.Status{Code: 3, Message: why}})
}

func (s *sotw) close() { s.cancel() }

// delta is a stream of changes.
type delta struct {
	t      testing.TB
	node   *core.Node
	stream discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
	cancel context.CancelFunc
}

func openDelta(t testing.TB, o *outlet, node string) *delta {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	s, err := connect(t, o).DeltaAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return &delta{t: t, node: &core.Node{Id: node}, stream: s, cancel: cancel}
}

func (s *delta) send(r *discovery.DeltaDiscoveryRequest) {
	s.t.Helper()
	r.Node, s.node = s.node, nil
	if err := s.stream.Send(r); err != nil && !errors.Is(err, io.EOF) { // Recv says why it has ended
		s.t.Fatal(err)
	}
}

func (s *delta) ask(typeURL string, names ...string) {
	s.send(&discovery.DeltaDiscoveryRequest{TypeUrl: typeURL, ResourceNamesSubscribe: names})
}

func (s *delta) again(typeURL, name string) {
	s.send(&discovery.DeltaDiscoveryRequest{TypeUrl: typeURL, ResourceNamesUnsubscribe: []string{name}})
	s.ask(typeURL, name)
}

func (s *delta) answer() answer {
	s.t.Helper()
	r, err := s.stream.Recv()
	if err != nil {
		s.t.Fatal(err)
	}
	a := answer{typeURL: r.TypeUrl, version: r.SystemVersionInfo, nonce: r.Nonce, removed: r.RemovedResources}
	for _, res := range r.Resources {
		a.resources = append(a.resources, res.Resource)
	}
	return a
}

func (s *delta) confirm(a answer) {
	s.send(&discovery.DeltaDiscoveryRequest{TypeUrl: a.typeURL, ResponseNonce: a.nonce})
}

func (s *delta) refuse(a answer, why string) {
	s.send(&discovery.DeltaDiscoveryRequest{TypeUrl: a.typeURL, ResponseNonce: a.nonce, ErrorDetail: &rpc.Status{Code: 3, Message: why}})
}

func (s *delta) close() { s.cancel() }

// silence holds that nothing comes of a type: the answer to a question that is
// asked now comes first.
func silence(t *testing.T, s stream) {
	t.Helper()
	s.again(resource.RouteType, "shop-web")
	if a := s.answer(); a.typeURL != resource.RouteType {
		t.Fatalf("%s was not silent: %v", a.typeURL, a.resources)
	}
}
