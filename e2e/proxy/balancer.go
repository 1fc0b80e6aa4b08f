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
	return exec.Command(b.Binary, append([]string{
		"haproxy", "--services", services, "--haproxy.socket", h.Socket, "--haproxy.state_file", h.State,
		"--state_dir", filepath.Join(p.Dir, "lb"), "--etcd.endpoints", p.Etcd, "--etcd.prefix", p.Prefix,
		"--metrics.addr", b.Metrics, "--log.format", "json",
	}, flags...)...)
}
