package lb

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/projecteru2/eru-agent/status"
)

// Route says which service is followed and where its requests come from.
type Route struct {
	App, Entrypoint string
	// Port is the container's, "" for the lowest one that it publishes.
	Port string
	// Backend is what the proxy calls the service.
	Backend string
}

// ParseRoute reads app/entrypoint[:port][=backend]; the backend is
// app-entrypoint if none is given.
func ParseRoute(s string) (Route, error) {
	service, backend, named := strings.Cut(s, "=")
	service, port, ported := strings.Cut(service, ":")
	app, entrypoint, _ := strings.Cut(service, "/")
	if !named {
		backend = app + "-" + entrypoint
	}
	switch {
	case !status.ValidName(app) || !status.ValidName(entrypoint):
		return Route{}, fmt.Errorf("reading route %q: %q is no app/entrypoint", s, service)
	case ported && !validPort(port):
		return Route{}, fmt.Errorf("reading route %q: %q is no port", s, port)
	case !validBackend(backend):
		return Route{}, fmt.Errorf("reading route %q: %q is no name of a backend", s, backend)
	}
	return Route{App: app, Entrypoint: entrypoint, Port: port, Backend: backend}, nil
}

// ParseRoutes reads many, of which no two may have one backend.
func ParseRoutes(words []string) ([]Route, error) {
	routes, taken := make([]Route, 0, len(words)), map[string]bool{}
	for _, word := range words {
		r, err := ParseRoute(word)
		if err != nil {
			return nil, err
		}
		if taken[r.Backend] {
			return nil, fmt.Errorf("reading route %q: backend %q has another one already", word, r.Backend)
		}
		taken[r.Backend] = true
		routes = append(routes, r)
	}
	return routes, nil
}

func validPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

// validBackend takes what HAProxy takes (its configuration manual, 2.3).
func validBackend(s string) bool {
	return s != "" && len(s) <= 256 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:") == ""
}

// String is what ParseRoute reads.
func (r Route) String() string {
	port := ""
	if r.Port != "" {
		port = ":" + r.Port
	}
	return r.App + "/" + r.Entrypoint + port + "=" + r.Backend
}

// Endpoint is the address of a server that the route's requests go to; false if
// it publishes none that can be dialled.
func (r Route) Endpoint(s status.Server) (netip.AddrPort, bool) {
	port := r.Port
	if port == "" {
		port = lowest(s.Status.Endpoints)
	}
	at, err := netip.ParseAddrPort(s.Status.Endpoints[port])
	addr := at.Addr().Unmap()
	// A zone is text that anybody may have written, and means nothing on another host.
	if err != nil || at.Port() == 0 || addr.Zone() != "" || addr.IsUnspecified() || addr.IsMulticast() {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(addr, at.Port()), true
}

func lowest(endpoints map[string]string) string {
	best, least := "", uint64(1<<16)
	for port := range endpoints {
		if n, err := strconv.ParseUint(port, 10, 16); err == nil && n < least {
			best, least = port, n
		}
	}
	return best
}
