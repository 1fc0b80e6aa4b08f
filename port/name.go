package port

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// named answers at a loopback address only who asks for it by an address, or by a
// name that nobody elsewhere can own. A page of another site may have its own name
// resolve to 127.0.0.1 (DNS rebinding); its browser would then ask here, and let
// the page read the answer, but with that name in Host. A port that others reach
// anyway goes by any name.
func named(at net.Addr, own []string, next http.Handler) http.Handler {
	addr, ok := at.(*net.TCPAddr)
	if !ok || !addr.IP.IsLoopback() {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !knownHere(r.Host, own) {
			Refuse(w, http.StatusMisdirectedRequest, fmt.Sprintf("this port does not go by %q: ask localhost:%d, or %s; "+
				"a proxy in front has to set Host to localhost", r.Host, addr.Port, addr))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// knownHere says whether host, which may have a port, is an address, localhost, one
// of own, or not said at all, which no browser does.
func knownHere(host string, own []string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if host == "" {
		return true
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return true
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost") ||
		slices.ContainsFunc(own, func(name string) bool { return name != "" && strings.EqualFold(name, host) })
}
