package balancer

import (
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/projecteru2/eru-agent/cmd/settings"
	"github.com/projecteru2/eru-agent/lb"
	"github.com/projecteru2/eru-agent/status"
)

// config is everything that can be set. Its flags are its schema: each key of
// the file and each variable of the environment is one of them.
type config struct {
	name       string
	services   []string
	panicShare float64
	hold       time.Duration
	stateDir   string

	etcd    settings.Etcd
	haproxy haproxyConfig
	xds     xdsConfig
	metrics struct{ addr string }
	log     settings.Log
}

// flags returns the schema, bound to c and holding the defaults.
func (c *config) flags() *pflag.FlagSet {
	f := pflag.NewFlagSet("config", pflag.ContinueOnError)
	f.SortFlags = false
	f.StringVar(&c.name, "name", "", "`name` of this reader in etcd, by which drains are acknowledged; the host name and the kind of proxy if empty")
	f.StringSliceVar(&c.services, "services", nil, "`services` that are followed: app/entrypoint[:port][=backend], with the container's port (the lowest one if none is given) and the proxy's name for it (app-entrypoint if none is given)")
	f.Float64Var(&c.panicShare, "panic_share", status.DefaultPanicShare, "if more than this share of a service's containers turns unhealthy while running, its last set is kept; 1 for never")
	f.DurationVar(&c.hold, "hold", 0, "how long a server that had left its service has to be healthy before it is let in again; a new one is let in at once")
	f.StringVar(&c.stateDir, "state_dir", "/var/lib/eru-lb", "`directory` for copies of what is known, with which eru-lb starts while etcd is away; empty for none")
	c.etcd.Flags(f, "after which silence of this reader no drain waits for it")
	c.haproxy.flags(f)
	c.xds.flags(f)
	f.StringVar(&c.metrics.addr, "metrics.addr", "127.0.0.1:12346", "`host:port` of /metrics, /healthz, /readyz")
	c.log.Flags(f)
	return f
}

// proxyKey says whether a key is of one kind of proxy alone.
func proxyKey(key string) bool { return hasPart(key, "haproxy") || hasPart(key, "xds") }

func hasPart(key, section string) bool { return strings.HasPrefix(key, section+".") }

// rule says what the value of one key must be.
type rule = settings.Rule[config]

// rules are what a flag's type does not say already.
func rules() []rule {
	return slices.Concat([]rule{
		{Key: "name", Want: "1 to 128 of [A-Za-z0-9._-]", OK: func(c *config) bool { return c.name == "" || status.ValidName(c.name) }},
		{Key: "services", Want: "a list of app/entrypoint[:port][=backend], each with a backend of its own, as [shop/web, shop/api:8080=api]", OK: func(c *config) bool {
			routes, err := lb.ParseRoutes(c.services)
			return err == nil && len(routes) > 0
		}},
		{Key: "panic_share", Want: "a number above 0 and up to 1, as 0.5", OK: func(c *config) bool { return c.panicShare > 0 && c.panicShare <= 1 }},
		settings.Least("hold", 0, func(c *config) time.Duration { return c.hold }),
		{Key: "metrics.addr", Want: "host:port, as 127.0.0.1:12346", OK: func(c *config) bool { return settings.ValidHostPort(c.metrics.addr) }},
	}, haproxyRules(), xdsRules(), settings.EtcdRules(func(c *config) *settings.Etcd { return &c.etcd }), settings.LogRules(func(c *config) *settings.Log { return &c.log }))
}

// reader is the name in etcd of a reader of one kind.
func (c *config) reader(kind string) string {
	if c.name != "" {
		return c.name
	}
	host, _ := os.Hostname()
	return host + "-" + kind
}

// check reads the files that the keys name.
func (c *config) check() error {
	if err := c.etcd.Check(); err != nil {
		return err
	}
	return c.xds.check()
}
