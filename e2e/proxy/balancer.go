package proxy

import (
	"os/exec"
	"path/filepath"
)

// Balancer is eru-lb in front of a proxy.
type Balancer struct {
	Binary  string
	Metrics string // host:port of its HTTP port
}

// HAProxy runs it for h; services are as in its configuration, and flags come
// after those that the place makes.
func (b Balancer) HAProxy(p Place, h *HAProxy, services string, flags ...string) *exec.Cmd {
	return b.command(p, "haproxy", services, append([]string{"--haproxy.socket", h.Socket, "--haproxy.state_file", h.State}, flags...))
}

// XDS runs it as a control plane, which listens where the place says.
func (b Balancer) XDS(p Place, services string, flags ...string) *exec.Cmd {
	return b.command(p, "xds", services, append([]string{"--xds.addr", p.Listen}, flags...))
}

func (b Balancer) command(p Place, kind, services string, flags []string) *exec.Cmd {
	return exec.Command(b.Binary, append([]string{
		kind, "--name", kind, "--services", services, "--state_dir", filepath.Join(p.Dir, "lb"), "--etcd.endpoints", p.Etcd, "--etcd.prefix", p.Prefix,
		"--metrics.addr", b.Metrics, "--log.format", "json",
	}, flags...)...)
}
