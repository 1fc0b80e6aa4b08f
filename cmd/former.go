package cmd

import (
	"strings"

	"github.com/spf13/pflag"
)

// former are the keys of the Eru agent that came before this one
// (github.com/projecteru2/agent, agent.yaml.sample), and what replaces them.
func former() map[string]string {
	const (
		noLogs    = "this agent ships no logs; Docker's log drivers do"
		noMetrics = "this agent collects no container metrics; cAdvisor does, and its own are at api.addr/metrics"
		noCore    = "this agent writes to etcd itself and does not speak to Eru core"
	)
	return map[string]string{
		"pid": "systemd knows the process", "hostname": "node replaces it", "store": noCore, "core": noCore, "auth": noCore,
		"runtime": "Docker is the only one", "kv": "etcd is the only one",
		"heartbeat_interval": "etcd.session_ttl replaces it", "ha_keepalive_interval": "etcd.session_ttl replaces it",
		"check_only_mine": "docker.select replaces it", "global_connection_timeout": "etcd.timeout replaces it",
		"metrics": noMetrics, "log.forwards": noLogs, "log.stdout": noLogs,
		"healthcheck.cache_ttl":      "nothing is cached: etcd is written on change only",
		"healthcheck.enable_selfmon": "selfmon.enabled replaces it",
		"etcd.machines":              "etcd.endpoints replaces it",
		"etcd.lock_prefix":           "etcd.prefix replaces it",
		"health_check_interval":      "healthcheck.interval replaces it", "health_check_timeout": "healthcheck.timeout replaces it",
		"health_check_cache_ttl": "nothing is cached: etcd is written on change only",
	}
}

// nearest is the key that a misspelt one may have meant, "" if none is near;
// spell writes a key in the way of the misspelt one.
func nearest(key string, schema *pflag.FlagSet, spell func(string) string) string {
	best, least := "", min(4, len(key)/2+2) // a short word is near to every other
	schema.VisitAll(func(f *pflag.Flag) {
		d := distance(key, spell(f.Name))
		if leaf := f.Name[strings.LastIndexByte(f.Name, '.')+1:]; leaf == key {
			d = 0 // the right name in the wrong section
		}
		if d < least {
			best, least = f.Name, d
		}
	})
	return best
}

// distance counts the edits between two words (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
