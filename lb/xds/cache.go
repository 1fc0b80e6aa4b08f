package xds

import (
	"slices"

	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"

	"github.com/projecteru2/eru-agent/lb"
)

// newResources joins endpoints, which change, and what follows from the
// configuration alone: of each service a cluster, a route and a listener.
func newResources(prefix string, endpoints *cache.LinearCache, all []lb.Route) cache.Cache {
	clusters, routes, listeners := map[string]types.Resource{}, map[string]types.Resource{}, map[string]types.Resource{}
	for _, r := range all {
		name := r.Backend
		clusters[name], routes[name], listeners[name] = clusterOf(name), routeOf(name), listenerOf(name)
	}
	fixed := func(typeURL string, r map[string]types.Resource) cache.Cache {
		return patient{cache.NewLinearCache(typeURL, cache.WithVersionPrefix(prefix), cache.WithInitialResources(r)), prefix}
	}
	return &cache.MuxCache{
		Classify:      func(r *cache.Request) string { return served(r.GetTypeUrl()) },
		ClassifyDelta: func(r *cache.DeltaRequest) string { return served(r.GetTypeUrl()) },
		Caches: map[string]cache.Cache{
			resource.EndpointType: patient{endpoints, prefix},
			resource.ClusterType:  fixed(resource.ClusterType, clusters),
			resource.RouteType:    fixed(resource.RouteType, routes),
			resource.ListenerType: fixed(resource.ListenerType, listeners),
			"":                    silent{},
		},
	}
}

// served is the type itself if it is one of those that are served, else "".
func served(typeURL string) string {
	if slices.Contains(servedTypes(), typeURL) {
		return typeURL
	}
	return ""
}

func servedTypes() []string {
	return []string{resource.EndpointType, resource.ClusterType, resource.RouteType, resource.ListenerType}
}

// patient lets a client wait until there is something for it.
type patient struct {
	*cache.LinearCache
	prefix string
}

// CreateWatch answers a request that bears no version of this process, such as
// the first one after a restart, with what is known of its names, while the
// library would say "nothing" if that is nothing. And it does not repeat what a
// client has refused: a refusal bears the version from before, which the library
// answers at once, and both would go on like that at full speed.
func (c patient) CreateWatch(r *cache.Request, sub cache.Subscription, to chan cache.Response) (func(), error) {
	if r.GetErrorDetail() != nil || !cache.ResourceRequiresFullStateInSotw(r.GetTypeUrl()) {
		r = proto.Clone(r).(*cache.Request)
		r.VersionInfo = c.prefix
	}
	return c.LinearCache.CreateWatch(r, sub, to)
}

// silent has nothing to say of types that are not served. An error would end
// the stream, and with it what the client learns of the others.
type silent struct{ cache.Cache }

func (silent) CreateWatch(*cache.Request, cache.Subscription, chan cache.Response) (func(), error) {
	return nil, nil
}

func (silent) CreateDeltaWatch(*cache.DeltaRequest, cache.Subscription, chan cache.DeltaResponse) (func(), error) {
	return nil, nil
}
