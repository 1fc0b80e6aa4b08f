package balancer

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/projecteru2/eru-agent/lb"
	"github.com/projecteru2/eru-agent/lb/haproxy"
)

// haproxyConfig are the keys of eru-lb haproxy alone.
type haproxyConfig struct{ socket, stateFile, slots, add string }

func (h *haproxyConfig) flags(f *pflag.FlagSet) {
	f.StringVar(&h.socket, "haproxy.socket", "/run/haproxy/admin.sock", "`path` of HAProxy's runtime socket, which is to have level admin")
	f.StringVar(&h.stateFile, "haproxy.state_file", "/var/lib/eru-lb/haproxy.state", "`file` from which HAProxy takes up its servers when it is started or reloaded (load-server-state-from-file); empty for none")
	f.StringVar(&h.slots, "haproxy.slots", "eru", "`prefix` of the server-template in each backend; servers with other names are left alone")
	f.StringVar(&h.add, "haproxy.add_server", "check inter 2s fall 3 rise 1", "`settings` of a server that is added when the template is used up; HAProxy does not take those of default-server")
}

func haproxyRules() []rule {
	return []rule{
		{Key: "haproxy.socket", Want: "a path, as /run/haproxy/admin.sock", OK: func(c *config) bool { return strings.HasPrefix(c.haproxy.socket, "/") }},
		{Key: "haproxy.state_file", Want: "a path, as /var/lib/eru-lb/haproxy.state", OK: func(c *config) bool { return c.haproxy.stateFile == "" || strings.HasPrefix(c.haproxy.stateFile, "/") }},
		{Key: "haproxy.slots", Want: "a prefix of server names, as eru", OK: func(c *config) bool { return haproxy.ValidPrefix(c.haproxy.slots) }},
		{Key: "haproxy.add_server", Want: "settings of a server, as check inter 2s", OK: func(c *config) bool { return haproxy.ValidSettings(c.haproxy.add) }},
	}
}

func newHAProxy() *cobra.Command {
	return newFollow(proxy{kind: "haproxy", make: makeHAProxy},
		"Bring HAProxy to what etcd says, over its runtime socket",
		`Bring HAProxy to what etcd says of the services, over its runtime socket, until
SIGTERM or SIGINT. Its configuration is left alone (examples/haproxy has one);
servers stand in the slots of each backend's server-template. HAProxy stays as it
is when eru-lb ends, and what it forgets in a reload is made good.`)
}

func makeHAProxy(d *daemon) (outlet, error) {
	routes, err := lb.ParseRoutes(d.cfg.services)
	if err != nil {
		return outlet{}, err
	}
	h := d.cfg.haproxy
	o := haproxy.New(haproxy.Config{Socket: h.socket, StateFile: h.stateFile, Prefix: h.slots, Add: h.add, Routes: routes}, d.log.Named("haproxy"), d.registry)
	return outlet{Outlet: o, parts: []func(context.Context) error{o.Run}}, nil
}
