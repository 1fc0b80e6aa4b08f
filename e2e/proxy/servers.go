package proxy

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// Server is one of a backend, as HAProxy says.
type Server struct {
	Name     string
	Address  string // host:port
	Use      string // ready, drain or maint, as somebody wants it
	Admitted bool   // nobody has taken it out or drains it
	Serving  bool   // requests go to it: it is admitted, and its own check says nothing else
}

// The columns of "show servers state" that are read, of version 1 (HAProxy's
// management guide, 9.3).
const (
	columnBackend, columnName, columnAddress            = 1, 3, 4
	columnOperation, columnAdministration, columnWeight = 5, 6, 7
	columnPort                                          = 18
	columns                                             = columnPort + 1
)

// The administrative bits that drain a server. Of the others one only says that
// the configuration had it disabled; any other is maintenance.
const (
	draining     = 0x08 | 0x10
	onceDisabled = 0x04
)

// stopped is the operational state of a server that its checks found down, or
// that is in maintenance.
const stopped = "0"

// Servers are those of a backend, or of all with "".
func (h *HAProxy) Servers(ctx context.Context, backend string) ([]Server, error) {
	text, err := h.Ask(ctx, strings.TrimSpace("show servers state "+backend))
	if err != nil {
		return nil, err
	}
	var servers []Server
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] == "1" && len(f) == 1 || f[0] == "#" {
			continue
		}
		if len(f) < columns {
			return nil, fmt.Errorf("reading the servers of backend %q: %q", backend, strings.TrimSpace(line))
		}
		bits, err := strconv.Atoi(f[columnAdministration])
		if err != nil {
			return nil, fmt.Errorf("reading the servers of backend %q: %w", backend, err)
		}
		use := use(bits)
		admitted := use == "ready" && f[columnWeight] != "0"
		servers = append(servers, Server{
			Name: f[columnBackend] + "/" + f[columnName], Address: net.JoinHostPort(f[columnAddress], f[columnPort]),
			Use: use, Admitted: admitted, Serving: admitted && f[columnOperation] != stopped,
		})
	}
	return servers, nil
}

func use(bits int) string {
	switch {
	case bits&^(onceDisabled|draining) != 0:
		return "maint"
	case bits&draining != 0:
		return "drain"
	}
	return "ready"
}
