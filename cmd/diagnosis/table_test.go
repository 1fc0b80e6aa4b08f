package diagnosis_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/cmd/diagnosis"
	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/trail"
	"github.com/projecteru2/eru-agent/watcher"
)

// well is a container that gets traffic, seen from every side.
func well() diagnosis.Evidence {
	id := strings.Repeat("0123", 16)
	c := &trail.Container{ID: id, Name: "web", App: "web", Entrypoint: "web", Steps: []trail.Step{{To: "healthy"}}}
	return diagnosis.Evidence{
		Word: "web", Agent: c, AgentHeard: true,
		Docker: &diagnosis.Sight{Exists: true, Ours: true, Running: true, Container: watcher.Container{ID: id, Name: "web"}},
		Etcd: &diagnosis.Entry{Key: status.Key{App: "web", Entrypoint: "web", Node: "n1", ID: id}, Exists: true, Use: "ready",
			Status: status.Status{State: status.StateHealthy, Healthy: true, Running: true, Endpoints: map[string]string{"80": "172.17.0.2:80"}}},
	}
}

func is(e *diagnosis.Evidence, state, reason, detail string) {
	e.Agent.Steps = []trail.Step{{To: state, Reason: reason, Detail: detail}}
	e.Etcd.Status.State, e.Etcd.Status.Healthy, e.Etcd.Use = status.State(state), state == "healthy", "none"
}

func refusedAt(listening ...string) func(*diagnosis.Evidence) {
	return func(e *diagnosis.Evidence) {
		is(e, "starting", "connect_refused", "http :8000/h: connecting: connection refused")
		e.Listening = []netip.AddrPort{}
		for _, at := range listening {
			e.Listening = append(e.Listening, netip.MustParseAddrPort(at))
		}
	}
}

func TestOf(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil     func(*diagnosis.Evidence)
		cause, do string // are in it
	}{
		"nobody could be asked":                    {func(e *diagnosis.Evidence) { *e = diagnosis.Evidence{DockerTrouble: "no socket"} }, "nobody could be asked", "no socket"},
		"the agent knows none, and Docker is away": {func(e *diagnosis.Evidence) { e.Docker, e.DockerTrouble, e.Agent = nil, "no socket", nil }, "Docker cannot be asked: no socket", "docker.endpoint"},
		"several are meant, and Docker is away": {func(e *diagnosis.Evidence) {
			e.Docker, e.DockerTrouble, e.Agent, e.Ambiguous, e.AgentTrouble = nil, "no socket", nil, true, "it means 2"
		}, "it means 2", "more of its ID"},
		"another etcd is asked than the agent writes to": {func(e *diagnosis.Evidence) {
			e.Agent.Published, e.Etcd.Exists, e.EtcdAt = trail.Publication{Revision: 7}, false, "127.0.0.1:2379 under /eru"
		}, "does not stand in the one that was asked: 127.0.0.1:2379 under /eru", "--etcd.endpoints"},
		"Docker does not know it": {func(e *diagnosis.Evidence) { e.Docker.Exists, e.Agent = false, nil }, "Docker on this node does not know it", "docker ps"},
		"it was removed":          {func(e *diagnosis.Evidence) { e.Docker.Exists, e.Agent.Removed = false, time.Now() }, "does not know it", "docker ps"},
		"never started":           {func(e *diagnosis.Evidence) { e.Docker.Running, e.Docker.Created = false, true }, "never started", "docker start web"},
		"ended":                   {func(e *diagnosis.Evidence) { e.Docker.Running, e.Docker.Exit.Code = false, 3 }, "exit code 3", "docker logs"},
		"out of memory":           {func(e *diagnosis.Evidence) { e.Docker.Running, e.Docker.Exit.OOM = false, true }, "want of memory", "more memory"},
		"no label":                {func(e *diagnosis.Evidence) { e.Docker.Ours, e.Agent = false, nil }, "no label that selects it", "eru.health.http.port=80"},
		"a label misspelt": {func(e *diagnosis.Evidence) {
			e.Docker.Ours, e.Agent, e.Docker.Container.Labels = false, nil, map[string]string{"eru.heatlh.http.port": "80", "eruhealth.http.path": "/"}
		}, "no label of it selects it", `the label "eru.heatlh.http.port" as "eru.health.http.port",`},
		"a label that is like none": {func(e *diagnosis.Evidence) {
			e.Docker.Ours, e.Agent, e.Docker.Container.Labels = false, nil, map[string]string{"eru.http.port": "80"}
		}, "no label of it selects it", `the label "eru.http.port" as it is in docs/probes.md`},
		"docker.select": {func(e *diagnosis.Evidence) { e.Docker.Ours, e.Agent, e.Selected = false, nil, []string{"a=b"} }, "docker.select (a=b)", "reload"},
		"no agent":      {func(e *diagnosis.Evidence) { e.AgentHeard, e.Agent, e.AgentTrouble = false, nil, "connection refused" }, "no agent answers here: connection refused", "systemctl start"},
		"no agent, and etcd is away": {func(e *diagnosis.Evidence) {
			e.AgentHeard, e.Agent, e.AgentTrouble, e.Etcd = false, nil, "connection refused", nil
		}, "no agent answers here", "--api.addr"},
		"a guarded port, and etcd has none": {func(e *diagnosis.Evidence) {
			e.Agent, e.AgentGuarded, e.AgentTrouble, e.Etcd.Exists = nil, true, "curl it", false
		}, "etcd has no status of it, and the agent's port is guarded", "curl it"},
		"a guarded port, and etcd is away": {func(e *diagnosis.Evidence) {
			e.Agent, e.AgentGuarded, e.AgentTrouble, e.Etcd, e.EtcdTrouble = nil, true, "curl it", nil, "no route"
		}, "etcd cannot be asked (no route), and the agent's port is guarded", "curl it"},
		"not seen yet":  {func(e *diagnosis.Evidence) { e.Agent = nil; e.Etcd.Exists = false }, "has not seen it yet", "ask again"},
		"a stop signal": {func(e *diagnosis.Evidence) { is(e, "draining", "stop_signal", "SIGTERM") }, "asked to stop (SIGTERM)", "wait"},
		"drained": {func(e *diagnosis.Evidence) {
			is(e, "draining", "drain", "by ops")
			e.Etcd.Wish = &status.Drain{By: "ops", Reason: "new disk"}
		}, "an operator drains it: ops new disk until it is taken back", "eru-agent undrain 012301230123"},
		"its node is drained": {func(e *diagnosis.Evidence) {
			is(e, "draining", "drain", "by ops")
			e.Etcd.Wish, e.Etcd.Whole = &status.Drain{By: "ops", Until: time.Now()}, true
		}, "until 2", "eru-agent undrain --node n1"},
		"drained, and etcd is away":   {func(e *diagnosis.Evidence) { is(e, "draining", "drain", "by ops"); e.Etcd = nil }, "by ops", "undrain web"},
		"an invalid label":            {func(e *diagnosis.Evidence) { is(e, "invalid", "label", `a="b": want c`) }, `a="b": want c`, "mend that label"},
		"too large":                   {func(e *diagnosis.Evidence) { is(e, "invalid", "too_large", "the status has 9 bytes") }, "9 bytes", "fewer"},
		"barred from inside":          {func(e *diagnosis.Evidence) { is(e, "invalid", "capability", "needs CAP_SYS_ADMIN") }, "needs CAP_SYS_ADMIN", "give the agent"},
		"paused":                      {func(e *diagnosis.Evidence) { is(e, "paused", "paused", "") }, "paused", "docker unpause web"},
		"stopped":                     {func(e *diagnosis.Evidence) { is(e, "stopped", "exited", "exit code 1") }, "exit code 1", "docker logs"},
		"lost":                        {func(e *diagnosis.Evidence) { is(e, "lost", "node_lost", "") }, "lost: node_lost", "the node itself"},
		"loopback alone":              {refusedAt("127.0.0.1:8000", "0.0.0.0:80"), "127.0.0.1 only", "0.0.0.0:8000"},
		"another port":                {refusedAt("0.0.0.0:80", "[::]:80", "127.0.0.1:11"), "but on 80", "mend it"},
		"nobody listens":              {refusedAt(), "on any port", "docker logs"},
		"it is not known who listens": {func(e *diagnosis.Evidence) { refusedAt()(e); e.Listening = nil }, "nobody listens on it at the container's address", "0.0.0.0:8000"},
		"it listens by now":           {refusedAt("0.0.0.0:8000"), "listens on it by now", "ask again"},
		"timeout":                     {func(e *diagnosis.Evidence) { is(e, "unhealthy", "timeout", "http :80/: no answer in time") }, "no answer in time", "eru.health.timeout"},
		"code":                        {func(e *diagnosis.Evidence) { is(e, "unhealthy", "http_code", "http :80/: 500, want 200-399") }, "500, want", "eru.health.http.codes"},
		"no address":                  {func(e *diagnosis.Evidence) { is(e, "starting", "no_address", "none") }, "none", "eru.health.network"},
		"no network": {func(e *diagnosis.Evidence) {
			is(e, "starting", "no_address", `network mode "none": the container has no address that this node can reach`)
		}, `mode "none"`, "eru.health.via: netns"},
		"the network of one that ended": {func(e *diagnosis.Evidence) {
			is(e, "starting", "no_address", "container 0123, whose network it shares, does not run")
		}, "does not run", "start the container"},
		"unreachable":                 {func(e *diagnosis.Evidence) { is(e, "starting", "unreachable", "tcp :80: no route to host") }, "no route", "eru.health.via: netns"},
		"a word of a prober":          {func(e *diagnosis.Evidence) { is(e, "unhealthy", "answer", "no") }, "its probe fails: no", "docker logs"},
		"starting":                    {func(e *diagnosis.Evidence) { is(e, "starting", "", "") }, "has not passed a probe yet", "wait"},
		"etcd is away":                {func(e *diagnosis.Evidence) { e.Etcd, e.EtcdTrouble = nil, "no route" }, "etcd cannot be asked: no route", "reached"},
		"not in etcd":                 {func(e *diagnosis.Evidence) { e.Etcd.Exists = false }, "etcd does not say so yet", "/readyz"},
		"no endpoints":                {func(e *diagnosis.Evidence) { e.Etcd.Status.Endpoints = nil }, "no port that proxies may send to", "eru.publish"},
		"nobody at what is published": {func(e *diagnosis.Evidence) { e.Refused = []uint16{9} }, "port 9, on which nobody listens", "eru.publish"},
		"not used":                    {func(e *diagnosis.Evidence) { e.Etcd.Use = "none" }, "do not send to it (none)", "docs/proxies.md"},
		"silent":                      {func(e *diagnosis.Evidence) { e.Etcd.Silent = true }, "session in etcd has ended", "/readyz"},
	} {
		e := well()
		tt.spoil(&e)
		if a := diagnosis.Of(e); a.Well || !strings.Contains(a.Cause, tt.cause) || !strings.Contains(a.Do, tt.do) {
			t.Errorf("%s: %+v", name, a)
		}
	}
	for name, spoil := range map[string]func(*diagnosis.Evidence){
		"well":                  func(*diagnosis.Evidence) {},
		"Docker is away":        func(e *diagnosis.Evidence) { e.Docker, e.DockerTrouble = nil, "no socket" },
		"a guarded port":        func(e *diagnosis.Evidence) { e.Agent, e.AgentGuarded = nil, true },
		"no session is desired": func(e *diagnosis.Evidence) { e.Etcd.Silent, e.Alone = true, true },
	} {
		e := well()
		spoil(&e)
		if a := diagnosis.Of(e); !a.Well || a.Do != "" {
			t.Errorf("%s: %+v", name, a)
		}
	}
}
