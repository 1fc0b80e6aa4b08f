package cmd

import (
	"net"
	"net/netip"
)

// address is node_ip, or what the default route would send from.
func (c *config) address() netip.Addr {
	if ip, err := netip.ParseAddr(c.nodeIP); err == nil {
		return ip
	}
	// Connecting a UDP socket sends nothing; it only asks for the route to an
	// address of TEST-NET-1 (RFC 5737), which is nobody's.
	conn, err := net.Dial("udp", "192.0.2.1:9")
	if err != nil {
		return netip.Addr{}
	}
	defer func() { _ = conn.Close() }()
	if local, ok := conn.LocalAddr().(*net.UDPAddr); ok {
		return local.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}
