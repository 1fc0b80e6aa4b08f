package xds

import (
	"cmp"
	"context"
	"sync"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"go.uber.org/zap"
	rpc "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

const (
	// maxTypes is how many types one stream may ask for; four are served.
	maxTypes = 16
	// maxNamed bounds the memory of who was named in the log.
	maxNamed = 1000
)

// clients knows who is connected, what each follows and what it has taken. It
// hears of it as the callbacks of go-control-plane's servers.
type clients struct {
	prefix     string // of versions
	maxStreams int
	counts     counts
	log        *zap.Logger

	mu      sync.Mutex
	streams map[streamID]*client
	named   map[string]bool // who has refused a type, and was named
	changes changes
}

// streamID tells streams apart; each protocol counts its own.
type streamID struct {
	delta bool
	n     int64
}

func newClients(prefix string, maxStreams int, within time.Duration, log *zap.Logger) *clients {
	return &clients{
		prefix: prefix, maxStreams: maxStreams, log: log,
		counts:  newCounts(),
		streams: map[streamID]*client{},
		named:   map[string]bool{},
		changes: newChanges(within),
	}
}

func (c *clients) OnStreamOpen(ctx context.Context, n int64, typeURL string) error {
	return c.open(ctx, streamID{n: n}, typeURL)
}

func (c *clients) OnDeltaStreamOpen(ctx context.Context, n int64, typeURL string) error {
	return c.open(ctx, streamID{delta: true, n: n}, typeURL)
}

func (c *clients) OnStreamClosed(n int64, _ *core.Node) { c.closed(streamID{n: n}) }

func (c *clients) OnDeltaStreamClosed(n int64, _ *core.Node) {
	c.closed(streamID{delta: true, n: n})
}

func (c *clients) OnStreamRequest(n int64, r *discovery.DiscoveryRequest) error {
	return c.asked(streamID{n: n}, r, func(cl *client) { cl.follow(r.GetResourceNames()) })
}

func (c *clients) OnStreamDeltaRequest(n int64, r *discovery.DeltaDiscoveryRequest) error {
	return c.asked(streamID{delta: true, n: n}, r, func(cl *client) {
		cl.followMore(r.GetResourceNamesSubscribe(), r.GetResourceNamesUnsubscribe())
	})
}

func (c *clients) OnStreamResponse(_ context.Context, n int64, _ *discovery.DiscoveryRequest, r *discovery.DiscoveryResponse) {
	c.answered(streamID{n: n}, r.GetTypeUrl(), answer{r.GetNonce(), number(c.prefix, r.GetVersionInfo())})
}

func (c *clients) OnStreamDeltaResponse(n int64, _ *discovery.DeltaDiscoveryRequest, r *discovery.DeltaDiscoveryResponse) {
	c.answered(streamID{delta: true, n: n}, r.GetTypeUrl(), answer{r.GetNonce(), number(c.prefix, r.GetSystemVersionInfo())})
}

// open admits a stream.
func (c *clients) open(ctx context.Context, id streamID, typeURL string) error {
	cl := &client{typeURL: typeURL, answers: map[string]answer{}, names: map[string]bool{}}
	if p, ok := peer.FromContext(ctx); ok {
		cl.address = p.Addr.String()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.streams) >= c.maxStreams {
		c.counts.turnedAway.Inc()
		if c.nameLocked("streams") {
			c.log.Warn("clients are turned away: there are as many streams as there may be", zap.Int("streams", c.maxStreams))
		}
		return status.Errorf(codes.ResourceExhausted, "%d streams are open, and no more are taken", c.maxStreams)
	}
	delete(c.named, "streams")
	c.streams[id] = cl
	return nil
}

// closed forgets a client: it sends nothing that could be waited for.
func (c *clients) closed(id streamID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cl := c.streams[id]; cl != nil {
		delete(c.streams, id)
		c.changes.forget(cl)
	}
}

// asked hears a request, which confirms or refuses the last answer of its type,
// or says what the client follows.
func (c *clients) asked(id streamID, r request, follow func(*client)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	cl := c.streams[id]
	typeURL := cmp.Or(r.GetTypeUrl(), cl.typeURL)
	cl.node = cmp.Or(cl.node, r.GetNode().GetId())
	last, known := cl.answers[typeURL]
	if !known && len(cl.answers) >= maxTypes {
		return status.Errorf(codes.InvalidArgument, "a stream may ask for %d types", maxTypes)
	}
	if !known {
		cl.answers[typeURL] = answer{}
	}
	current := r.GetResponseNonce() == last.nonce
	if !id.delta && !current && last.nonce != "" {
		return nil // crossed our answer on its way, and is passed over by the server
	}
	if current && last.nonce != "" {
		c.concludeLocked(cl, typeURL, last, r.GetErrorDetail())
	}
	if typeURL == resource.EndpointType {
		follow(cl)
		c.changes.review(cl)
	}
	return nil
}

// concludeLocked notes what a client says to an answer.
func (c *clients) concludeLocked(cl *client, typeURL string, a answer, refusal *rpc.Status) {
	key := cl.node + " " + typeURL
	if refusal != nil {
		c.counts.refused.WithLabelValues(short(typeURL)).Inc()
		if c.nameLocked(key) {
			c.log.Error("a client refuses what it is served, and goes on with what it had", zap.String("client", cl.node),
				zap.String("address", cl.address), zap.String("type", short(typeURL)), zap.String("why", refusal.GetMessage()))
		}
		if typeURL == resource.EndpointType {
			cl.late = true
			c.changes.forget(cl)
		}
		return
	}
	delete(c.named, key)
	if typeURL == resource.EndpointType {
		cl.taken, cl.late = a.version, false
	}
}

// nameLocked says whether something is to be said in the log, which it is once.
func (c *clients) nameLocked(what string) bool {
	if c.named[what] {
		return false
	}
	if len(c.named) >= maxNamed {
		clear(c.named)
	}
	c.named[what] = true
	return true
}

// answered notes what goes out to a client.
func (c *clients) answered(id streamID, typeURL string, a answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.streams[id].answers[typeURL] = a
}
