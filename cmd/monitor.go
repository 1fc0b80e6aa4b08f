package cmd

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/projecteru2/eru-agent/selfmon/monitor"
	"github.com/projecteru2/eru-agent/status"
)

// monitor is how this agent looks after others when it is elected.
func (c *config) monitor(me status.Identity) monitor.Config {
	return monitor.Config{
		Node: me.Node, Instance: me.Instance, MaxLost: c.self.maxLost, Grace: c.self.grace, ForgetAfter: c.self.forgetAfter,
		HostPorts: c.hostPorts(), Control: places(c.self.control), Fallback: places(c.members()),
	}
}

// hostPorts are those of selfmon.host_ports that are ports.
func (c *config) hostPorts() []uint16 {
	var ports []uint16
	for _, word := range c.self.hostPorts {
		if n, err := strconv.ParseUint(word, 10, 16); err == nil && n > 0 {
			ports = append(ports, uint16(n))
		}
	}
	return ports
}

// members are etcd's endpoints as host:port.
func (c *config) members() []string {
	var list []string
	for _, e := range c.etcd.Endpoints {
		_, address, found := strings.Cut(e, "://")
		if !found {
			address = e
		}
		list = append(list, strings.TrimSuffix(address, "/"))
	}
	return list
}

// places are those of list that are an address and a port.
func places(list []string) []netip.AddrPort {
	var found []netip.AddrPort
	for _, word := range list {
		if at, err := netip.ParseAddrPort(word); err == nil && at.Port() != 0 {
			found = append(found, at)
		}
	}
	return found
}
