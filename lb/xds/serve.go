package xds

import (
	"context"
	"fmt"
	"net"
	"time"

	clusters "github.com/envoyproxy/go-control-plane/envoy/service/cluster/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	endpoints "github.com/envoyproxy/go-control-plane/envoy/service/endpoint/v3"
	listeners "github.com/envoyproxy/go-control-plane/envoy/service/listener/v3"
	routes "github.com/envoyproxy/go-control-plane/envoy/service/route/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/delta/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/sotw/v3"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

const (
	// maxRequest bounds what a client may ask in bytes. The longest is the first
	// one of a delta stream, which names each resource with its version.
	maxRequest = 1 << 20
	// A connection that is silent is asked after pingAfter, and closed when it
	// has not answered within pingWithin, so that a client which is gone is known
	// to be. A client may ask no more often than each pingLeast.
	pingAfter, pingWithin, pingLeast = 10 * time.Second, 5 * time.Second, 5 * time.Second
	handshakeWithin                  = 5 * time.Second
	// streamsPerConnection is enough for a stream of each cluster.
	streamsPerConnection = 256
)

// Run serves until ctx ends, then returns nil. Clients keep what they were given
// last.
func (o *Outlet) Run(ctx context.Context) error {
	server := grpc.NewServer(
		grpc.Creds(o.tls.credentials(o.log)),
		grpc.MaxConcurrentStreams(streamsPerConnection),
		grpc.MaxRecvMsgSize(maxRequest),
		grpc.ConnectionTimeout(handshakeWithin),
		grpc.WaitForHandlers(true),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingAfter, Timeout: pingWithin}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: pingLeast, PermitWithoutStream: true}),
	)
	o.register(ctx, server)
	o.log.Info("serving", zap.Stringer("addr", o.listener.Addr()), zap.Bool("tls", o.tls.Cert != ""))
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := server.Serve(o.listener); err != nil && ctx.Err() == nil {
			return fmt.Errorf("serving clients of xDS on %q: %w", o.listener.Addr(), err)
		}
		return nil
	})
	group.Go(func() error { return o.clients.run(ctx) })
	group.Go(func() error {
		<-ctx.Done()
		server.Stop()
		return nil
	})
	return group.Wait()
}

// register offers the four services beside the aggregated one: Envoy may follow
// endpoints alone.
func (o *Outlet) register(ctx context.Context, to grpc.ServiceRegistrar) {
	s := &streams{
		sotw:  sotw.NewServer(ctx, o.resources, o.clients, sotw.DeactivateLegacyWildcardForTypes(named())),
		delta: delta.NewServer(ctx, o.resources, o.clients, delta.DeactivateLegacyWildcardForTypes(named())),
	}
	discovery.RegisterAggregatedDiscoveryServiceServer(to, s)
	endpoints.RegisterEndpointDiscoveryServiceServer(to, s)
	clusters.RegisterClusterDiscoveryServiceServer(to, s)
	routes.RegisterRouteDiscoveryServiceServer(to, s)
	listeners.RegisterListenerDiscoveryServiceServer(to, s)
}

// named are the types that are asked for by name: an empty list of names is
// nothing, while of clusters and listeners it is all.
func named() []string { return []string{resource.EndpointType, resource.RouteType} }

// streams hands each stream to the half that speaks its protocol. Polling
// (Fetch) is not implemented.
type streams struct {
	sotw  sotw.Server
	delta delta.Server

	endpoints.UnimplementedEndpointDiscoveryServiceServer
	clusters.UnimplementedClusterDiscoveryServiceServer
	routes.UnimplementedRouteDiscoveryServiceServer
	listeners.UnimplementedListenerDiscoveryServiceServer
}

func (s *streams) StreamAggregatedResources(to discovery.AggregatedDiscoveryService_StreamAggregatedResourcesServer) error {
	return s.sotw.StreamHandler(to, resource.AnyType)
}

func (s *streams) DeltaAggregatedResources(to discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	return s.delta.DeltaStreamHandler(to, resource.AnyType)
}

func (s *streams) StreamEndpoints(to endpoints.EndpointDiscoveryService_StreamEndpointsServer) error {
	return s.sotw.StreamHandler(to, resource.EndpointType)
}

func (s *streams) DeltaEndpoints(to endpoints.EndpointDiscoveryService_DeltaEndpointsServer) error {
	return s.delta.DeltaStreamHandler(to, resource.EndpointType)
}

func (s *streams) StreamClusters(to clusters.ClusterDiscoveryService_StreamClustersServer) error {
	return s.sotw.StreamHandler(to, resource.ClusterType)
}

func (s *streams) DeltaClusters(to clusters.ClusterDiscoveryService_DeltaClustersServer) error {
	return s.delta.DeltaStreamHandler(to, resource.ClusterType)
}

func (s *streams) StreamRoutes(to routes.RouteDiscoveryService_StreamRoutesServer) error {
	return s.sotw.StreamHandler(to, resource.RouteType)
}

func (s *streams) DeltaRoutes(to routes.RouteDiscoveryService_DeltaRoutesServer) error {
	return s.delta.DeltaStreamHandler(to, resource.RouteType)
}

func (s *streams) StreamListeners(to listeners.ListenerDiscoveryService_StreamListenersServer) error {
	return s.sotw.StreamHandler(to, resource.ListenerType)
}

func (s *streams) DeltaListeners(to listeners.ListenerDiscoveryService_DeltaListenersServer) error {
	return s.delta.DeltaStreamHandler(to, resource.ListenerType)
}

// warnIfOpen says that whoever reaches the address learns where the servers are.
func warnIfOpen(l net.Listener, t TLS, log *zap.Logger) {
	if at, ok := l.Addr().(*net.TCPAddr); ok && !at.IP.IsLoopback() && t.ClientCA == "" {
		log.Warn("whoever reaches the address may read the servers; xds.tls.client_ca would ask clients for a certificate",
			zap.Stringer("addr", at))
	}
}
