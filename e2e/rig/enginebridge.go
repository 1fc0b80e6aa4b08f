package rig

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"strings"
)

// bridge is the name of the engine's default bridge, of at most 15 bytes.
func (e *Engine) bridge() string { return "eru-" + strings.TrimPrefix(e.namespace(), engines) }

// index is an interface's, 0 if there is none.
func index(name string) int {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return 0
	}
	return i.Index
}

// build makes the engine's bridge, if it is not there.
func (e *Engine) build() error {
	if index(e.bridge()) != 0 {
		return nil
	}
	address, err := unused()
	if err != nil {
		return err
	}
	for _, args := range [][]string{
		{"link", "add", e.bridge(), "type", "bridge"},
		{"address", "add", address.String(), "dev", e.bridge()},
		{"link", "set", e.bridge(), "up"},
	} {
		if err := ip(args...); err != nil {
			return err
		}
	}
	return nil
}

// raze removes it.
func (e *Engine) raze() error {
	if index(e.bridge()) == 0 {
		return nil
	}
	return ip("link", "delete", e.bridge())
}

// unused is an address in a network that the machine has no address in.
func unused() (*net.IPNet, error) {
	taken, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("looking for a network that is free: %w", err)
	}
	for range 1000 {
		free := &net.IPNet{IP: net.IPv4(10, 224|byte(rand.Uint32()&15), byte(rand.Uint32()), 1), Mask: net.CIDRMask(24, 32)}
		for _, a := range taken {
			if other, ok := a.(*net.IPNet); ok && (other.Contains(free.IP) || free.Contains(other.IP)) {
				free = nil
				break
			}
		}
		if free != nil {
			return free, nil
		}
	}
	return nil, errors.New("looking for a network that is free: none in 10.224.0.0/12")
}

// ip runs iproute2's command.
func ip(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("running ip %s (Debian: iproute2): %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}
