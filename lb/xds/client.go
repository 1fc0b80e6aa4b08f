package xds

import (
	"strconv"
	"strings"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rpc "google.golang.org/genproto/googleapis/rpc/status"
)

// client is one stream of a client: what it follows and what it has taken.
type client struct {
	address string
	typeURL string // of a stream that has one type alone
	node    string // what it calls itself; "" before its first request
	answers map[string]answer

	// What it follows of the endpoints.
	names map[string]bool
	all   bool
	taken uint64 // the version of the endpoints that it has confirmed
	// late says that it was waited for in vain, and is not until it confirms
	// something.
	late bool
}

// answer is the last one of a type.
type answer struct {
	nonce   string
	version uint64
}

// request is one of either protocol.
type request interface {
	GetNode() *core.Node
	GetTypeUrl() string
	GetResponseNonce() string
	GetErrorDetail() *rpc.Status
}

// follow takes the names of a request that bears all of them.
func (c *client) follow(names []string) {
	c.names, c.all = map[string]bool{}, false
	c.followMore(names, nil)
}

// followMore takes the names of a request that bears what is new.
func (c *client) followMore(more, less []string) {
	for _, n := range more {
		c.names[n] = true
	}
	for _, n := range less {
		delete(c.names, n)
	}
	c.all = c.names["*"]
}

// owes says whether the client has yet to take a change.
func (c *client) owes(ch *change) bool {
	if c.taken >= ch.version {
		return false
	}
	for n := range ch.changed {
		if c.all || c.names[n] {
			return true
		}
	}
	return false
}

// number is the count in a version.
func number(prefix, version string) uint64 {
	n, err := strconv.ParseUint(strings.TrimPrefix(version, prefix), 10, 64)
	if err != nil {
		panic("reading a version of one's own: " + err.Error())
	}
	return n
}
