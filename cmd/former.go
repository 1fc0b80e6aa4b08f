package cmd

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
