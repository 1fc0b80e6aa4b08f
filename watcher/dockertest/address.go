package dockertest

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
)

const (
	prefix4 = 16
	prefix6 = 64
)

func withPrefix(address string, bits int) string {
	if address == "" {
		return ""
	}
	return fmt.Sprintf("%s/%d", address, bits)
}

// addressPool hands out the lowest free address of 127.17.0.0/16, from .2 on. Like Docker's it gives an address that
// became free to the next who asks.
type addressPool struct{ taken []bool }

func (p *addressPool) take() string {
	i := slices.Index(p.taken, false)
	if i < 0 {
		i = len(p.taken)
		p.taken = append(p.taken, false)
	}
	p.taken[i] = true
	n := i + 2
	return netip.AddrFrom4([4]byte{127, 17, byte(n >> 8), byte(n)}).String()
}

func (p *addressPool) free(address string) {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return
	}
	b := a.As4()
	if i := int(b[2])<<8 + int(b[3]) - 2; i >= 0 && i < len(p.taken) {
		p.taken[i] = false
	}
}

// gatewayOf is the first address of the network that an address is in.
func gatewayOf(address string, bits int) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return ""
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return ""
	}
	return p.Addr().Next().String()
}

// macOf is made from the address as Docker's bridge driver makes it.
func macOf(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil || !a.Is4() {
		return ""
	}
	return net.HardwareAddr(append([]byte{0x02, 0x42}, a.AsSlice()...)).String()
}
