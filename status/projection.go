package status

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strconv"
)

// Projection is a way in which statuses are also written for a program that
// reads etcd by itself and in its own words.
type Projection string

// The projections.
const (
	// Traefik reads servers of services: two keys beside each status.
	Traefik Projection = "traefik"
	// SkyDNS is what CoreDNS's etcd plugin reads: fields of the status itself.
	SkyDNS Projection = "skydns"
)

// Projections returns all that there are.
func Projections() []Projection { return []Projection{Traefik, SkyDNS} }

// DNS are the fields by which CoreDNS's etcd plugin answers; it passes over a
// value without a host.
type DNS struct {
	Host        string `json:"host,omitempty"` // an address
	Port        uint16 `json:"port,omitempty"`
	TTL         uint32 `json:"ttl,omitempty"` // seconds
	TargetStrip int    `json:"targetstrip,omitempty"`
}

const (
	// dnsTTL is the least that DNS knows, in seconds: so long a client may go on
	// to send to what has been cut.
	dnsTTL = 1
	// dnsStrip takes the container's ID off the name that an SRV record bears: 64
	// digits are more than the 63 bytes of a label.
	dnsStrip = 1
)

// dns is what CoreDNS shall answer for the container; nothing while it is not to
// be sent to.
func (s Status) dns() DNS {
	at := s.dialled()
	if s.State != StateHealthy || !at.IsValid() {
		return DNS{}
	}
	return DNS{Host: at.Addr().String(), Port: at.Port(), TTL: dnsTTL, TargetStrip: dnsStrip}
}

// dialled is the one address that a projection has room for: the endpoint of the
// lowest container port that anybody can dial; not valid if there is none.
func (s Status) dialled() netip.AddrPort {
	number := func(port string) uint64 { n, _ := strconv.ParseUint(port, 10, 16); return n }
	ports := slices.SortedFunc(maps.Keys(s.Endpoints), func(a, b string) int {
		return cmp.Or(cmp.Compare(number(a), number(b)), cmp.Compare(a, b))
	})
	for _, port := range ports {
		if at := dialable(s.Endpoints[port]); at.IsValid() {
			return at
		}
	}
	return netip.AddrPort{}
}

// dialable reads an ip:port; what another host cannot dial is not valid.
func dialable(endpoint string) netip.AddrPort {
	at, err := netip.ParseAddrPort(endpoint)
	addr := at.Addr().Unmap()
	if err != nil || at.Port() == 0 || addr.Zone() != "" || addr.IsUnspecified() || addr.IsMulticast() {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(addr, at.Port())
}
