package dockertest

import (
	"strconv"

	dockercontainer "github.com/docker/docker/api/types/container"
	"github.com/docker/go-connections/nat"
)

// Port is a port that a container exposes and perhaps publishes.
type Port struct {
	Private uint16
	Public  uint16 // 0 for not published.
	HostIP  string // "" for all addresses: the API then reports 0.0.0.0 and :: one by one.
	Proto   string // "tcp" if empty.
}

func (p Port) proto() string {
	if p.Proto == "" {
		return "tcp"
	}
	return p.Proto
}

func (p Port) nat() nat.Port { return nat.Port(strconv.Itoa(int(p.Private)) + "/" + p.proto()) }

// hostIPs are the host's addresses that the port is published on, as the API spells them out.
func (p Port) hostIPs() []string {
	switch {
	case p.Public == 0:
		return nil
	case p.HostIP == "":
		return []string{"0.0.0.0", "::"}
	}
	return []string{p.HostIP}
}

func (p Port) bound() []nat.PortBinding {
	var bindings []nat.PortBinding
	for _, ip := range p.hostIPs() {
		bindings = append(bindings, nat.PortBinding{HostIP: ip, HostPort: strconv.Itoa(int(p.Public))})
	}
	return bindings
}

func (sp Spec) ports() []dockercontainer.Port {
	ports := []dockercontainer.Port{}
	for _, p := range sp.Ports {
		if p.Public == 0 {
			ports = append(ports, dockercontainer.Port{PrivatePort: p.Private, Type: p.proto()})
		}
		for _, ip := range p.hostIPs() {
			ports = append(ports, dockercontainer.Port{IP: ip, PrivatePort: p.Private, PublicPort: p.Public, Type: p.proto()})
		}
	}
	return ports
}
