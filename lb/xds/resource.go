package xds

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"time"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	router "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	manager "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	xdstype "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/projecteru2/eru-agent/lb"
	"github.com/projecteru2/eru-agent/status"
)

// assignment is what EDS says of a service: a locality for each node, with the
// servers that may be reached there.
func assignment(r lb.Route, servers []status.Server) *endpoint.ClusterLoadAssignment {
	a := &endpoint.ClusterLoadAssignment{ClusterName: r.Backend}
	var node *endpoint.LocalityLbEndpoints
	for _, t := range targets(r, servers) {
		if name := t.server.Key.Node; node == nil || node.Locality.SubZone != name {
			node = &endpoint.LocalityLbEndpoints{Locality: &core.Locality{SubZone: name}}
			a.Endpoints = append(a.Endpoints, node)
		}
		node.LbEndpoints = append(node.LbEndpoints, t.endpoint())
	}
	for _, node := range a.Endpoints {
		node.LoadBalancingWeight = share(node)
	}
	return a
}

// target is a server and where it is dialled.
type target struct {
	server status.Server
	addr   netip.AddrPort
}

// targets are the servers that can be dialled, by node and ID. Addresses are
// used again at once, and gRPC refuses a set that names one twice, so of those
// that share one it is the server of most use.
func targets(r lb.Route, servers []status.Server) []target {
	var list []target
	at := make(map[netip.AddrPort]int, len(servers))
	for _, sv := range servers {
		addr, ok := address(r, sv)
		if !ok {
			continue
		}
		if i, taken := at[addr]; !taken {
			at[addr] = len(list)
			list = append(list, target{sv, addr})
		} else if sv.Use > list[i].server.Use {
			list[i].server = sv
		}
	}
	slices.SortFunc(list, func(a, b target) int {
		return cmp.Or(cmp.Compare(a.server.Key.Node, b.server.Key.Node), cmp.Compare(a.server.Key.ID, b.server.Key.ID))
	})
	return list
}

// address is where a server is dialled; false if nowhere. What has ended is
// nowhere, unless the View goes on using it.
func address(r lb.Route, sv status.Server) (netip.AddrPort, bool) {
	if sv.Use == status.UseNone && !sv.Status.Running {
		return netip.AddrPort{}, false
	}
	return r.Endpoint(sv)
}

// health says what a client does with a server. What a View keeps in a panic is
// healthy: the guard is the View's, and clients have none beside it.
func health(sv status.Server) core.HealthStatus {
	switch sv.Use {
	case status.UseReady:
		return core.HealthStatus_HEALTHY
	case status.UseDrain:
		return core.HealthStatus_DRAINING
	default:
		return core.HealthStatus_UNHEALTHY
	}
}

func (t target) endpoint() *endpoint.LbEndpoint {
	return &endpoint.LbEndpoint{
		HostIdentifier: &endpoint.LbEndpoint_Endpoint{Endpoint: &endpoint.Endpoint{
			Address: &core.Address{Address: &core.Address_SocketAddress{SocketAddress: &core.SocketAddress{
				Address:       t.addr.Addr().String(),
				PortSpecifier: &core.SocketAddress_PortValue{PortValue: uint32(t.addr.Port())},
			}}},
		}},
		HealthStatus:        health(t.server),
		LoadBalancingWeight: wrapperspb.UInt32(1),
	}
}

// share weighs a node by how many of its servers take requests, so that each
// server gets as much as any other. A node without one has no weight: gRPC
// passes it over, and zero is not allowed.
func share(node *endpoint.LocalityLbEndpoints) *wrapperspb.UInt32Value {
	var ready uint32
	for _, e := range node.LbEndpoints {
		if e.HealthStatus == core.HealthStatus_HEALTHY {
			ready++
		}
	}
	if ready == 0 {
		return nil
	}
	return wrapperspb.UInt32(ready)
}

func ads() *core.ConfigSource {
	return &core.ConfigSource{
		ResourceApiVersion:    core.ApiVersion_V3,
		ConfigSourceSpecifier: &core.ConfigSource_Ads{Ads: &core.AggregatedConfigSource{}},
	}
}

// clusterOf is what CDS says of a service. Envoy's panic threshold is off: by
// default Envoy sends to all endpoints once more than half of them are not
// healthy, the drained ones included. The View has judged that already, knows
// why each one is out, and keeps the last set by marking it healthy. Nor is the
// number of requests limited, which by default is 1,024 under way at once in each
// client, gRPC's streams included: the next one would fail.
func clusterOf(name string) *cluster.Cluster {
	return &cluster.Cluster{
		Name:                 name,
		ClusterDiscoveryType: &cluster.Cluster_Type{Type: cluster.Cluster_EDS},
		EdsClusterConfig:     &cluster.Cluster_EdsClusterConfig{EdsConfig: ads(), ServiceName: name},
		ConnectTimeout:       durationpb.New(time.Second),
		LbPolicy:             cluster.Cluster_ROUND_ROBIN,
		CommonLbConfig:       &cluster.Cluster_CommonLbConfig{HealthyPanicThreshold: &xdstype.Percent{Value: 0}},
		CircuitBreakers: &cluster.CircuitBreakers{Thresholds: []*cluster.CircuitBreakers_Thresholds{{
			MaxConnections: unlimited(), MaxPendingRequests: unlimited(), MaxRequests: unlimited(),
		}}},
	}
}

func unlimited() *wrapperspb.UInt32Value { return wrapperspb.UInt32(math.MaxUint32) }

// routeOf is what RDS says of a service: everything goes to its cluster, and
// takes as long as it takes (Envoy would end it after 15 seconds).
func routeOf(name string) *route.RouteConfiguration {
	return &route.RouteConfiguration{
		Name: name,
		VirtualHosts: []*route.VirtualHost{{
			Name:    name,
			Domains: []string{"*"},
			Routes: []*route.Route{{
				Match: &route.RouteMatch{PathSpecifier: &route.RouteMatch_Prefix{Prefix: "/"}},
				Action: &route.Route_Route{Route: &route.RouteAction{
					ClusterSpecifier: &route.RouteAction_Cluster{Cluster: name},
					Timeout:          durationpb.New(0),
				}},
			}},
		}},
	}
}

// listenerOf is what LDS says of a service. It is for gRPC, whose target
// xds:///name asks for the listener of that name; Envoy takes its listeners
// from its own configuration.
func listenerOf(name string) *listener.Listener {
	return &listener.Listener{
		Name: name,
		ApiListener: &listener.ApiListener{ApiListener: mustAny(&manager.HttpConnectionManager{
			StatPrefix: name,
			RouteSpecifier: &manager.HttpConnectionManager_Rds{Rds: &manager.Rds{
				ConfigSource: ads(), RouteConfigName: name,
			}},
			HttpFilters: []*manager.HttpFilter{{
				Name:       "envoy.filters.http.router",
				ConfigType: &manager.HttpFilter_TypedConfig{TypedConfig: mustAny(&router.Router{})},
			}},
		})},
	}
}

// mustAny packs what always can be: a message of the protos that are linked.
func mustAny(m proto.Message) *anypb.Any {
	packed := &anypb.Any{}
	if err := anypb.MarshalFrom(packed, m, proto.MarshalOptions{Deterministic: true}); err != nil {
		panic("packing " + string(m.ProtoReflect().Descriptor().FullName()) + ": " + err.Error())
	}
	return packed
}
