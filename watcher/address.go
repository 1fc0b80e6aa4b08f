package watcher

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
)

// labelNetwork names the Docker network whose address is used.
const labelNetwork = "eru.health.network"

// locate finds where the container is reached: the network that a label names,
// else that of NetworkMode, else the lexically first one; the node's own
// loopback for host mode. Published ports are never used: docker-proxy takes a
// connection although nobody listens behind it (FACTS).
func (c *Container) locate(info container.InspectResponse) {
	var networks map[string]*network.EndpointSettings
	if info.NetworkSettings != nil {
		networks = info.NetworkSettings.Networks
		c.Published = published(info)
	}
	c.Networks = addresses(networks)
	mode := ""
	if info.HostConfig != nil {
		mode = string(info.HostConfig.NetworkMode)
	}
	wanted, ok := c.Labels[labelNetwork]
	if mode == "host" {
		c.Host, c.Addr, c.Networks, c.Why = true, loopback, nil, "it has the node's network, so this is the node's own loopback address"
		if ok {
			c.Addr, c.Why, c.NoAddr = netip.Addr{}, "", fmt.Sprintf("%s=%q: the container has the node's network and no other", labelNetwork, wanted)
		}
		return
	}
	if ok {
		name := byName(networks, wanted)
		c.choose(name, fmt.Sprintf("%s=%q", labelNetwork, wanted), fmt.Sprintf("network %q, which the label %s names", name, labelNetwork))
		return
	}
	if mode == "default" || mode == "" {
		mode = "bridge"
	}
	name := byName(networks, mode)
	why := fmt.Sprintf("network %q, which is that of its network mode", name)
	if _, ok := c.Networks[name]; !ok {
		name = first(c.Networks)
		why = fmt.Sprintf("network %q, the first by name: it has no address on %q, that of its network mode", name, mode)
	}
	c.choose(name, "network mode "+strconv.Quote(mode), why)
}

// choose takes the address on a network for the reason why; asked is who named it.
func (c *Container) choose(name, asked, why string) {
	addr, ok := c.Networks[name]
	if !ok {
		c.NoAddr = fmt.Sprintf("%s: no address there; it has one on: %s", asked, quoted(names(c.Networks)))
		if len(c.Networks) == 0 {
			c.NoAddr = asked + ": the container has no address that this node can reach"
		}
		return
	}
	c.Addr, c.Why = addr, why
}

// borrow takes the address of the container whose network this one shares.
func (c *Container) borrow(id string, target container.InspectResponse, exists bool) {
	t := read(target)
	if !exists || t.phase != phaseRunning {
		c.NoAddr = fmt.Sprintf("container %.12s, whose network it shares, does not run", id)
		return
	}
	if wanted, ok := c.Labels[labelNetwork]; ok {
		t.container.Labels = map[string]string{labelNetwork: wanted}
		t.container.Addr, t.container.NoAddr, t.container.Why = netip.Addr{}, "", ""
		t.container.locate(target)
	}
	from := t.container
	if from.Addr.IsValid() {
		c.Why = fmt.Sprintf("it shares the network of container %.12s: %s", id, from.Why)
	}
	c.Addr, c.NoAddr, c.Host, c.Networks, c.Published = from.Addr, from.NoAddr, from.Host, from.Networks, from.Published
}

// byName allows for networks that were given by their ID.
func byName(networks map[string]*network.EndpointSettings, name string) string {
	if _, ok := networks[name]; ok {
		return name
	}
	for n, e := range networks {
		if e != nil && e.NetworkID == name && name != "" {
			return n
		}
	}
	return name
}

// addresses keeps the networks with an address, IPv4 before IPv6.
func addresses(networks map[string]*network.EndpointSettings) map[string]netip.Addr {
	found := map[string]netip.Addr{}
	for name, e := range networks {
		if e == nil {
			continue
		}
		for _, text := range []string{e.IPAddress, e.GlobalIPv6Address} {
			if addr, err := netip.ParseAddr(text); err == nil {
				found[name] = addr
				break
			}
		}
	}
	return found
}

// quoted makes what others named fit to be printed.
func quoted(list []string) string {
	var quoted []string
	for _, s := range list {
		quoted = append(quoted, strconv.Quote(s))
	}
	return strings.Join(quoted, ", ")
}

func names(networks map[string]netip.Addr) []string {
	var list []string
	for name := range networks {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

func first(networks map[string]netip.Addr) string {
	if len(networks) == 0 {
		return ""
	}
	return names(networks)[0]
}

// published finds where the node publishes each TCP port, leaving out what only
// the node itself can reach; IPv4 before IPv6, where it is on several addresses.
func published(info container.InspectResponse) map[uint16]netip.AddrPort {
	found := map[uint16]netip.AddrPort{}
	for port, bindings := range info.NetworkSettings.Ports {
		if port.Proto() != "tcp" {
			continue
		}
		for _, b := range bindings {
			host, err1 := netip.ParseAddr(b.HostIP)
			if b.HostIP == "" {
				host, err1 = netip.IPv4Unspecified(), nil
			}
			n, err2 := strconv.ParseUint(b.HostPort, 10, 16)
			if err1 != nil || err2 != nil || n == 0 || host.IsLoopback() {
				continue
			}
			at, inside := netip.AddrPortFrom(host, uint16(n)), uint16(port.Int())
			if was, ok := found[inside]; !ok || at.Compare(was) < 0 {
				found[inside] = at
			}
		}
	}
	return found
}
