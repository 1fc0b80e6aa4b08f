// Package lb brings a proxy to what etcd says of its services. It owns the loop
// between a status.View and an Outlet, the acknowledgement of drains, and the
// metrics of both; how a proxy is spoken to is the Outlet's.
package lb

import (
	"context"

	"github.com/projecteru2/eru-agent/status"
)

// Outlet brings a proxy to what services are.
type Outlet interface {
	// Apply returns once the proxy sends its traffic as services say. It may be
	// called again with the same, and then makes good what the proxy has
	// forgotten. After an error it is called again with what is newest then.
	Apply(ctx context.Context, services []*status.Service) error
	// Lost receives when the proxy may have forgotten what was applied; nil if it
	// cannot.
	Lost() <-chan struct{}
}
