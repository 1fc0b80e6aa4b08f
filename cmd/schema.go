package cmd

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/projecteru2/eru-agent/cmd/settings"
	"github.com/projecteru2/eru-agent/healthcheck"
	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/watcher"
)

// config is everything that can be set. Its flags are its schema: each key of
// the file and each variable of the environment is one of them.
type config struct {
	node   string
	nodeIP string
	pod    string

	docker struct {
		endpoint string
		tls      watcher.TLS
		selected []string
	}
	etcd        settings.Etcd
	extension   bool
	projections []string
	health      healthcheck.Config
	self        struct {
		enabled     bool
		maxLost     float64
		grace       time.Duration
		forgetAfter time.Duration
		hostPorts   []string
		control     []string
	}
	canary time.Duration
	api    struct {
		addr      string
		webConfig string
		pprof     bool
	}
	log settings.Log
}

// flags returns the schema, bound to c and holding the defaults.
func (c *config) flags() *pflag.FlagSet {
	f := pflag.NewFlagSet("config", pflag.ContinueOnError)
	f.SortFlags = false
	f.StringVar(&c.node, "node", "", "`name` of this node in etcd; the host name if empty")
	f.StringVar(&c.nodeIP, "node_ip", "", "`address` at which other hosts reach what this node publishes; that of the default route if empty")
	f.StringVar(&c.pod, "pod", "", "`name` of the Eru pod that this node is in; stands in the node's record")
	c.dockerFlags(f)
	c.etcd.Flags(f, "after which silence of this agent the node's record goes away")
	f.BoolVar(&c.extension, "etcd.extension", true, "publish the labels of each container, up to 16 KiB")
	f.StringSliceVar(&c.projections, "projections", nil, "`programs` that read etcd in their own words and are written for, too: traefik, skydns (CoreDNS)")
	c.healthFlags(f)
	c.selfFlags(f)
	f.DurationVar(&c.canary, "canary.interval", 0, "at which a target inside the agent flips, to measure when that is known, in etcd, and told to readers; 0s is never, 1m is sensible")
	f.StringVar(&c.api.addr, "api.addr", "127.0.0.1:12345", "`host:port` of /metrics, /healthz, /readyz, /status")
	f.StringVar(&c.api.webConfig, "api.web_config", "", "`file` of the Prometheus web-config convention: TLS and basic auth of that port")
	f.BoolVar(&c.api.pprof, "api.pprof", false, "serve /debug/pprof on that port")
	c.log.Flags(f)
	return f
}

func (c *config) dockerFlags(f *pflag.FlagSet) {
	f.StringVar(&c.docker.endpoint, "docker.endpoint", "unix:///var/run/docker.sock", "`address` of Docker: unix:///path or tcp://host:port")
	f.StringVar(&c.docker.tls.CA, "docker.tls.ca", "", "`file` with the authority of Docker's certificate")
	f.StringVar(&c.docker.tls.Cert, "docker.tls.cert", "", "`file` with the client certificate for Docker")
	f.StringVar(&c.docker.tls.Key, "docker.tls.key", "", "`file` with the key of that certificate")
	f.StringSliceVar(&c.docker.selected, "docker.select", nil, "`labels` (key or key=value) that containers of ours have, instead of ERU=1 or eru.health.*; [] selects every container")
}

func (c *config) healthFlags(f *pflag.FlagSet) {
	f.DurationVar(&c.health.Interval, "healthcheck.interval", 5*time.Second, "between probes of a healthy container")
	f.DurationVar(&c.health.Timeout, "healthcheck.timeout", 2*time.Second, "of one probe: connect, TLS and answer together")
	f.DurationVar(&c.health.StartInterval, "healthcheck.start_interval", 200*time.Millisecond, "first wait of a container that has not passed yet; it grows to the interval")
	f.DurationVar(&c.health.RetryInterval, "healthcheck.retry_interval", time.Second, "between probes of a container that has passed before and fails")
	f.DurationVar(&c.health.MinInterval, "healthcheck.min_interval", leastWait, "least interval that a label may ask for")
	f.DurationVar(&c.health.Grid, "healthcheck.grid", healthcheck.DefaultGrid, "step on which probes start together, which is what makes them cheap; intervals are rounded down to it")
	f.IntVar(&c.health.Concurrency, "healthcheck.concurrency", 256, "probes under way at once")
	f.BoolVar(&c.health.Netns, "healthcheck.netns", false, "let labels ask for probes from inside the container's network namespace (eru.health.via: netns, both); needs the capabilities of netns.conf")
}

func (c *config) selfFlags(f *pflag.FlagSet) {
	f.BoolVar(&c.self.enabled, "selfmon.enabled", true, "hold the node's session and record in etcd, and stand for election; without them no other machine sees that this one holds the node's name, or that it is silent")
	f.Float64Var(&c.self.maxLost, "selfmon.max_lost", 0.34, "share of the nodes, or one if that is more, of which the elected agent cuts containers when they go silent together; of more it cuts nothing")
	f.DurationVar(&c.self.grace, "selfmon.grace", time.Minute, "how long a node is left alone after the session of an agent that was stopped on purpose")
	f.DurationVar(&c.self.forgetAfter, "selfmon.forget_after", 0, "after which silence of host and agent a node is forgotten, with all its keys; 0s is never")
	f.StringSliceVar(&c.self.hostPorts, "selfmon.host_ports", []string{"22", "1"}, "`ports` at which a host is asked whether it is there; a refusal is an answer, so nothing need listen")
	f.StringSliceVar(&c.self.control, "selfmon.control", nil, "`addresses` (ip:port) that must answer, half of them, before this agent as the elected one cuts anything; hosts of living nodes if empty")
}

// leastWait is the least that any wait between probes may be set to.
const leastWait = 100 * time.Millisecond

// rule says what the value of one key must be.
type rule = settings.Rule[config]

// rules are what a flag's type does not say already.
func rules() []rule {
	return slices.Concat(nodeRules(), settings.EtcdRules(func(c *config) *settings.Etcd { return &c.etcd }), healthRules(), selfRules(),
		canaryRules(), []rule{{Key: "api.addr", Want: "host:port, as 127.0.0.1:12345", OK: func(c *config) bool { return settings.ValidHostPort(c.api.addr) }}},
		settings.LogRules(func(c *config) *settings.Log { return &c.log }))
}

func nodeRules() []rule {
	return []rule{
		{Key: "node", Want: "1 to 128 of [A-Za-z0-9._-]", OK: func(c *config) bool { return status.ValidName(c.node) }},
		{Key: "node_ip", Want: "an IP address, as 10.0.0.5", OK: func(c *config) bool { return c.nodeIP == "" || validIP(c.nodeIP) }},
		{Key: "docker.endpoint", Want: "unix:///path or tcp://host:port", OK: func(c *config) bool { return validEndpoint(c.docker.endpoint) }},
		{Key: "docker.tls.key", Want: "a key beside docker.tls.cert, and a certificate beside the key", Beside: "docker.tls.cert", OK: func(c *config) bool { return (c.docker.tls.Cert == "") == (c.docker.tls.Key == "") }},
		{Key: "projections", Want: "a list of traefik and skydns, each at most once", OK: func(c *config) bool { return validProjections(c.projections) }},
	}
}

func healthRules() []rule {
	return []rule{
		settings.Least("healthcheck.min_interval", leastWait, func(c *config) time.Duration { return c.health.MinInterval }),
		{Key: "healthcheck.interval", Want: "a duration from healthcheck.min_interval to 1h, as 5s", OK: func(c *config) bool {
			return c.health.Interval >= c.health.MinInterval && c.health.Interval <= healthcheck.MaxInterval
		}},
		{Key: "healthcheck.timeout", Want: "a duration from 10ms to 10s, as 2s", OK: func(c *config) bool {
			return c.health.Timeout >= healthcheck.MinTimeout && c.health.Timeout <= healthcheck.MaxTimeout
		}},
		settings.Least("healthcheck.start_interval", leastWait, func(c *config) time.Duration { return c.health.StartInterval }),
		settings.Least("healthcheck.retry_interval", leastWait, func(c *config) time.Duration { return c.health.RetryInterval }),
		{Key: "healthcheck.grid", Want: "a duration from 10ms to 1s, as 100ms", OK: func(c *config) bool {
			return c.health.Grid >= healthcheck.MinGrid && c.health.Grid <= healthcheck.MaxGrid
		}},
		{Key: "healthcheck.concurrency", Want: "a number from 1 to 10000", OK: func(c *config) bool { return c.health.Concurrency >= 1 && c.health.Concurrency <= 10000 }},
	}
}

func selfRules() []rule {
	return []rule{
		{Key: "selfmon.max_lost", Want: "a share from 0 to 1, as 0.34", OK: func(c *config) bool { return c.self.maxLost >= 0 && c.self.maxLost <= 1 }},
		{Key: "selfmon.grace", Want: "a duration of 0s or more, as 1m", OK: func(c *config) bool { return c.self.grace >= 0 }},
		{Key: "selfmon.forget_after", Want: "0s or a duration of 1h or more, as 720h", OK: func(c *config) bool { return c.self.forgetAfter == 0 || c.self.forgetAfter >= time.Hour }},
		{Key: "selfmon.host_ports", Want: "a list of ports from 1 to 65535, as [22, 1]", OK: func(c *config) bool { return len(c.hostPorts()) == len(c.self.hostPorts) && len(c.self.hostPorts) > 0 }},
		{Key: "selfmon.control", Want: "a list of ip:port, as [10.0.0.1:22]", OK: func(c *config) bool { return len(places(c.self.control)) == len(c.self.control) }},
	}
}

// The canary's interval; several have to fit into what the alarm in contrib looks back on.
const leastCanary, mostCanary = 10 * time.Second, 2 * time.Minute

func canaryRules() []rule {
	return []rule{
		{Key: "canary.interval", Want: "0s, or a duration from 10s to 2m of at least twice healthcheck.interval, as 1m", OK: func(c *config) bool {
			return c.canary == 0 || c.canary >= max(leastCanary, 2*c.health.Interval) && c.canary <= mostCanary
		}},
		{Key: "canary.interval", Want: "0s beside selfmon.enabled: false, because its key hangs on the node's session", OK: func(c *config) bool {
			return c.canary == 0 || c.self.enabled
		}},
	}
}

func validIP(s string) bool { _, err := netip.ParseAddr(s); return err == nil }

func validEndpoint(s string) bool {
	path, unix := strings.CutPrefix(s, "unix://")
	host, tcp := strings.CutPrefix(s, "tcp://")
	return unix && strings.HasPrefix(path, "/") || tcp && host != ""
}

func validProjections(list []string) bool {
	left := status.Projections()
	for _, p := range list {
		i := slices.Index(left, status.Projection(p))
		if i < 0 {
			return false
		}
		left = slices.Delete(left, i, i+1)
	}
	return true
}
