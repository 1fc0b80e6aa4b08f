package chaos

import (
	"strconv"
	"strings"

	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

// kind is a kind of container: its labels, and beside them what they mean.
type kind struct {
	name    string
	labels  map[string]string
	ours    bool
	service func(name string) service
	invalid bool
	// fault is the reason why a container that answers in a way is not healthy, "" if it is; nil for no check.
	fault   func(answer string) string
	publish []string // container ports

	mode     string // as in dockertest.Spec
	networks map[string]string
	shares   bool // the network of container c0
	ports    []dockertest.Port
	policy   string
	signal   string
}

// service is what a container belongs to.
type service struct{ app, entrypoint string }

// network is that of its mode.
func (k kind) network() string {
	if k.mode == "" {
		return "bridge"
	}
	return k.mode
}

func always(app, entrypoint string) func(string) service {
	return func(string) service { return service{app, entrypoint} }
}

// byName is the service of a container that only its name tells of: <app>_<entrypoint>_<ident>, or the name itself.
func byName(name string) service {
	parts := strings.Split(name, "_")
	if n := len(parts); n >= 3 {
		return service{strings.Join(parts[:n-2], "_"), parts[n-2]}
	}
	return service{name, name}
}

// whole is the name itself as both.
func whole(name string) service { return service{name, name} }

// accepts is a check over HTTP that takes the codes from least to most, and code.
func accepts(least, most, code int) func(string) string {
	return func(answer string) string {
		switch answer {
		case "ok":
			answer = "200"
		case "silent":
			return "timeout"
		case "reset":
			return "reset"
		}
		if n, _ := strconv.Atoi(answer); n >= least && n <= most || n == code {
			return ""
		}
		return "http_code"
	}
}

// listens is a check over TCP that any listener passes.
func listens(string) string { return "" }

// kinds are all of them; port is where the crowd answers.
func kinds(port string) []kind {
	http := func(more ...string) map[string]string {
		return labels(append([]string{"eru.app", "shop", "eru.entrypoint", "web", "eru.health.http.port", port}, more...)...)
	}
	meta := func(code string) string {
		return `{"Publish":["80"],"HealthCheck":{"TCPPorts":["` + port + `"],"HTTPPort":"` + port + `","HTTPURL":"h","HTTPCode":` + code + `}}`
	}
	shop, ok, probed := always("shop", "web"), accepts(200, 399, 0), []string{port}
	return []kind{
		{name: "http", labels: http(), ours: true, service: shop, fault: ok, publish: probed},
		{name: "plain", labels: labels("ERU", "1"), ours: true, service: byName},
		{name: "named", labels: labels("eru.health.http.port", port), ours: true, service: byName, fault: ok, publish: probed},
		{name: "other", labels: http("eru.app", "other"), ours: true, service: always("other", "web"), fault: ok, publish: probed},
		{name: "codes", labels: http("eru.health.http.codes", "500-599,404"), ours: true, service: shop, fault: accepts(500, 599, 404), publish: probed},
		{name: "tcp", labels: labels("eru.app", "shop", "eru.entrypoint", "tcp", "eru.health.tcp.ports", port), ours: true, service: always("shop", "tcp"), fault: listens, publish: probed},
		{name: "refused", labels: labels("eru.health.tcp.ports", "1"), ours: true, service: byName, fault: func(string) string { return "connect_refused" }, publish: []string{"1"}},
		{name: "invalid", labels: http("eru.health.http.port", "x"), ours: true, service: shop, invalid: true},
		{name: "badkey", labels: http("eru.app", "a/b"), ours: true, service: whole, invalid: true, publish: probed},
		{name: "unknown", labels: labels("ERU", "1", "eru.health.htpp.port", port), ours: true, service: byName, invalid: true},
		{name: "meta", labels: labels("ERU", "1", "ERU_META", meta("0")), ours: true, service: byName, fault: accepts(200, 499, 0), publish: []string{"80"}},
		{name: "exact", labels: labels("ERU", "1", "ERU_META", meta("404")), ours: true, service: byName, fault: accepts(0, 0, 404), publish: []string{"80"}},
		{name: "over", labels: labels("ERU", "1", "ERU_META", meta("404"), "eru.health.http.codes", "200", "eru.publish", "81,82"), ours: true, service: byName, fault: accepts(0, 0, 200), publish: []string{"81", "82"}},
		{name: "published", labels: http("eru.publish", "80,81,82"), ours: true, service: shop, fault: ok, publish: []string{"80", "81", "82"}, ports: []dockertest.Port{{Private: 80, Public: 18080}, {Private: 81, Public: 18081, HostIP: "127.0.0.1"}}},
		{name: "host", labels: http(), ours: true, service: shop, fault: ok, publish: probed, mode: "host"},
		{name: "none", labels: http(), ours: true, service: shop, fault: ok, publish: probed, mode: "none"},
		{name: "side", labels: http("eru.health.network", "side"), ours: true, service: shop, fault: ok, publish: probed, networks: map[string]string{"bridge": "", "side": ""}},
		{name: "two", labels: http(), ours: true, service: shop, fault: ok, publish: probed, mode: "zone", networks: map[string]string{"alpha": "", "zone": ""}},
		{name: "shared", labels: http(), ours: true, service: shop, fault: ok, publish: probed, shares: true},
		{name: "again", labels: http(), ours: true, service: shop, fault: ok, publish: probed, policy: "always"},
		{name: "quit", labels: http(), ours: true, service: shop, fault: ok, publish: probed, signal: "QUIT"},
		{name: "compose", labels: labels("com.docker.compose.project", "proj", "com.docker.compose.service", "db", "eru.health.http.port", port), ours: true, service: composed, fault: ok, publish: probed},
		{name: "foreign", labels: labels("eru.app", "shop", "eru.entrypoint", "web"), service: shop},
	}
}

// composed is Compose's service, unless the name is one of Eru's.
func composed(name string) service {
	if s := byName(name); s != whole(name) {
		return s
	}
	return service{"proj", "db"}
}

// labels makes a map of keys and values; a later key replaces an earlier one.
func labels(pairs ...string) map[string]string {
	all := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		all[pairs[i]] = pairs[i+1]
	}
	return all
}
