package cmd

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"go.uber.org/zap/zapcore"

	"github.com/projecteru2/eru-agent/healthcheck"
	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/watcher"
)

// defaultConfig is read if it exists and no other file is named.
const defaultConfig = "/etc/eru/agent.yaml"

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
	etcd struct {
		endpoints    []string
		prefix       string
		username     string
		passwordFile string
		tls          status.TLS
		sessionTTL   time.Duration
		timeout      time.Duration
		extension    bool
	}
	health healthcheck.Config
	self   struct{ enabled bool }
	api    struct {
		addr      string
		webConfig string
		pprof     bool
	}
	log struct{ level, format string }
}

// flags returns the schema, bound to c and holding the defaults.
func (c *config) flags() *pflag.FlagSet {
	f := pflag.NewFlagSet("config", pflag.ContinueOnError)
	f.SortFlags = false
	f.StringVar(&c.node, "node", "", "`name` of this node in etcd; the host name if empty")
	f.StringVar(&c.nodeIP, "node_ip", "", "`address` at which other hosts reach what this node publishes; that of the default route if empty")
	f.StringVar(&c.pod, "pod", "", "`name` of the Eru pod that this node is in; stands in the node's record")
	c.dockerFlags(f)
	c.etcdFlags(f)
	c.healthFlags(f)
	f.BoolVar(&c.self.enabled, "selfmon.enabled", true, "hold the node's session and record in etcd; without them no other machine sees that this one holds the node's name")
	f.StringVar(&c.api.addr, "api.addr", "127.0.0.1:12345", "`host:port` of /metrics, /healthz, /readyz, /status")
	f.StringVar(&c.api.webConfig, "api.web_config", "", "`file` of the Prometheus web-config convention: TLS and basic auth of that port")
	f.BoolVar(&c.api.pprof, "api.pprof", false, "serve /debug/pprof on that port")
	f.StringVar(&c.log.level, "log.level", "info", "debug, info, warn or error")
	f.StringVar(&c.log.format, "log.format", "text", "text or json")
	return f
}

func (c *config) dockerFlags(f *pflag.FlagSet) {
	f.StringVar(&c.docker.endpoint, "docker.endpoint", "unix:///var/run/docker.sock", "`address` of Docker: unix:///path or tcp://host:port")
	f.StringVar(&c.docker.tls.CA, "docker.tls.ca", "", "`file` with the authority of Docker's certificate")
	f.StringVar(&c.docker.tls.Cert, "docker.tls.cert", "", "`file` with the client certificate for Docker")
	f.StringVar(&c.docker.tls.Key, "docker.tls.key", "", "`file` with the key of that certificate")
	f.StringSliceVar(&c.docker.selected, "docker.select", nil, "`labels` (key or key=value) that containers of ours have, instead of ERU=1 or eru.health.*; [] selects every container")
}

func (c *config) etcdFlags(f *pflag.FlagSet) {
	f.StringSliceVar(&c.etcd.endpoints, "etcd.endpoints", []string{"127.0.0.1:2379"}, "`addresses` of etcd's members")
	f.StringVar(&c.etcd.prefix, "etcd.prefix", "/eru", "`path` under which all keys stand")
	f.StringVar(&c.etcd.username, "etcd.username", "", "`user` for password authentication")
	f.StringVar(&c.etcd.passwordFile, "etcd.password_file", "", "`file` that holds the password alone")
	f.StringVar(&c.etcd.tls.CA, "etcd.tls.ca", "", "`file` with the authority of etcd's certificates")
	f.StringVar(&c.etcd.tls.Cert, "etcd.tls.cert", "", "`file` with the client certificate for etcd")
	f.StringVar(&c.etcd.tls.Key, "etcd.tls.key", "", "`file` with the key of that certificate")
	f.StringVar(&c.etcd.tls.ServerName, "etcd.tls.server_name", "", "`name` that etcd's certificates bear, if not that of the endpoint")
	f.DurationVar(&c.etcd.sessionTTL, "etcd.session_ttl", 10*time.Second, "after which silence of this agent the node's record goes away")
	f.DurationVar(&c.etcd.timeout, "etcd.timeout", 3*time.Second, "of one call to etcd")
	f.BoolVar(&c.etcd.extension, "etcd.extension", true, "publish the labels of each container, up to 16 KiB")
}

func (c *config) healthFlags(f *pflag.FlagSet) {
	f.DurationVar(&c.health.Interval, "healthcheck.interval", 5*time.Second, "between probes of a healthy container")
	f.DurationVar(&c.health.Timeout, "healthcheck.timeout", 2*time.Second, "of one probe: connect, TLS and answer together")
	f.DurationVar(&c.health.StartInterval, "healthcheck.start_interval", 200*time.Millisecond, "first wait of a container that has not passed yet; it grows to the interval")
	f.DurationVar(&c.health.RetryInterval, "healthcheck.retry_interval", time.Second, "between probes of a container that has passed before and fails")
	f.DurationVar(&c.health.MinInterval, "healthcheck.min_interval", leastWait, "least interval that a label may ask for")
	f.DurationVar(&c.health.Grid, "healthcheck.grid", healthcheck.DefaultGrid, "step on which probes start together, which is what makes them cheap; intervals are rounded down to it")
	f.IntVar(&c.health.Concurrency, "healthcheck.concurrency", 256, "probes under way at once")
}

// leastWait is the least that any wait between probes may be set to.
const leastWait = 100 * time.Millisecond

// rule says what the value of one key must be.
type rule struct {
	key    string
	want   string
	ok     func(c *config) bool
	beside string // the key that asks for this one
}

// rules are what a flag's type does not say already.
func rules() []rule {
	least := func(key string, least time.Duration, get func(*config) time.Duration) rule {
		return rule{key: key, want: fmt.Sprintf("a duration of %s or more, as 5s", least), ok: func(c *config) bool { return get(c) >= least }}
	}
	return []rule{
		{"node", "1 to 128 of [A-Za-z0-9._-]", func(c *config) bool { return validNode(c.node) }, ""},
		{"node_ip", "an IP address, as 10.0.0.5", func(c *config) bool { return c.nodeIP == "" || validIP(c.nodeIP) }, ""},
		{"docker.endpoint", "unix:///path or tcp://host:port", func(c *config) bool { return validEndpoint(c.docker.endpoint) }, ""},
		{"docker.tls.key", "a key beside docker.tls.cert, and a certificate beside the key", func(c *config) bool { return (c.docker.tls.Cert == "") == (c.docker.tls.Key == "") }, "docker.tls.cert"},
		{"etcd.endpoints", "a list of host:port or URLs, as [10.0.0.1:2379]", func(c *config) bool { return validMembers(c.etcd.endpoints) }, ""},
		{"etcd.prefix", "a path of [A-Za-z0-9._-] parts, as /eru", func(c *config) bool { return validPrefix(c.etcd.prefix) }, ""},
		{"etcd.password_file", "a file beside etcd.username, and a user beside the file", func(c *config) bool { return (c.etcd.username == "") == (c.etcd.passwordFile == "") }, "etcd.username"},
		{"etcd.tls.key", "a key beside etcd.tls.cert, and a certificate beside the key", func(c *config) bool { return (c.etcd.tls.Cert == "") == (c.etcd.tls.Key == "") }, "etcd.tls.cert"},
		least("etcd.session_ttl", 2*time.Second, func(c *config) time.Duration { return c.etcd.sessionTTL }),
		least("etcd.timeout", 100*time.Millisecond, func(c *config) time.Duration { return c.etcd.timeout }),
		least("healthcheck.min_interval", leastWait, func(c *config) time.Duration { return c.health.MinInterval }),
		{"healthcheck.interval", "a duration from healthcheck.min_interval to 1h, as 5s", func(c *config) bool {
			return c.health.Interval >= c.health.MinInterval && c.health.Interval <= healthcheck.MaxInterval
		}, ""},
		{"healthcheck.timeout", "a duration from 10ms to 10s, as 2s", func(c *config) bool {
			return c.health.Timeout >= healthcheck.MinTimeout && c.health.Timeout <= healthcheck.MaxTimeout
		}, ""},
		least("healthcheck.start_interval", leastWait, func(c *config) time.Duration { return c.health.StartInterval }),
		least("healthcheck.retry_interval", leastWait, func(c *config) time.Duration { return c.health.RetryInterval }),
		{"healthcheck.grid", "a duration from 10ms to 1s, as 100ms", func(c *config) bool {
			return c.health.Grid >= healthcheck.MinGrid && c.health.Grid <= healthcheck.MaxGrid
		}, ""},
		{"healthcheck.concurrency", "a number from 1 to 10000", func(c *config) bool { return c.health.Concurrency >= 1 && c.health.Concurrency <= 10000 }, ""},
		{"api.addr", "host:port, as 127.0.0.1:12345", func(c *config) bool { return validHostPort(c.api.addr) }, ""},
		{"log.level", "debug, info, warn or error", func(c *config) bool { return validLevel(c.log.level) }, ""},
		{"log.format", "text or json", func(c *config) bool { return c.log.format == "text" || c.log.format == "json" }, ""},
	}
}

func validIP(s string) bool { _, err := netip.ParseAddr(s); return err == nil }

func validEndpoint(s string) bool {
	path, unix := strings.CutPrefix(s, "unix://")
	host, tcp := strings.CutPrefix(s, "tcp://")
	return unix && strings.HasPrefix(path, "/") || tcp && host != ""
}

func validHostPort(s string) bool {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

// validMembers takes what etcd's client takes: host:port, with http:// or
// https:// if wanted, or a unix socket.
func validMembers(endpoints []string) bool {
	for _, e := range endpoints {
		address := strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(e, "http://"), "https://"), "/")
		if !strings.HasPrefix(e, "unix:") && !validHostPort(address) {
			return false
		}
	}
	return len(endpoints) > 0
}

func validLevel(s string) bool {
	level, err := zapcore.ParseLevel(s)
	return err == nil && level >= zapcore.DebugLevel && level <= zapcore.ErrorLevel
}

func validPrefix(s string) bool {
	for part := range strings.SplitSeq(strings.Trim(s, "/"), "/") {
		if !validNode(part) {
			return false
		}
	}
	return true
}
