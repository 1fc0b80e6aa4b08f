package dockertest

import (
	"net/http"
	"strconv"
	"time"

	dockercontainer "github.com/docker/docker/api/types/container"
	dockernetwork "github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"
)

// serveInspect answers GET /containers/{id}/json. After a die it waits as long as the daemon would hold the container's
// lock, unless the server is configured to answer with what was.
func (s *Server) serveInspect(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	c := s.findLocked(r.PathValue("id"))
	for c != nil && !s.cfg.StaleInspect && c.lagging.active(time.Now()) {
		lagging := c.lagging
		s.mu.Unlock()
		if !lagging.await(r) {
			return
		}
		s.mu.Lock()
		c = s.findLocked(r.PathValue("id"))
	}
	if c == nil {
		s.mu.Unlock()
		writeError(w, http.StatusNotFound, "No such container: "+r.PathValue("id"))
		return
	}
	answer := s.inspection(c, c.listed(time.Now()))
	s.mu.Unlock()
	writeJSON(w, answer)
}

func (s *Server) inspection(c *container, shown state) *dockercontainer.InspectResponse {
	return &dockercontainer.InspectResponse{
		ContainerJSONBase: &dockercontainer.ContainerJSONBase{
			ID: c.id, Created: stampOf(c.created), Path: "/app", Args: []string{}, State: shown.inspected(),
			Image: "sha256:" + makeID("image", c.spec.Image), Name: "/" + c.name, RestartCount: c.restarts,
			Driver: "overlay2", Platform: "linux", HostConfig: c.hostConfig(),
		},
		Mounts: []dockercontainer.MountPoint{}, Config: c.config(), NetworkSettings: c.networkSettings(shown),
	}
}

// inspected says of a container that waits for its restart policy that it is running, without a process, as Docker does.
func (st state) inspected() *dockercontainer.State {
	restarting := st.status == "restarting"
	return &dockercontainer.State{
		Status: st.status, Running: st.alive() || restarting, Paused: st.status == "paused", Restarting: restarting,
		OOMKilled: st.oom, Pid: st.pid, ExitCode: st.exitCode,
		StartedAt: stampOf(st.startedAt), FinishedAt: stampOf(st.finishedAt),
	}
}

func stampOf(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func (c *container) labels() map[string]string {
	if c.spec.Labels == nil {
		return map[string]string{}
	}
	return c.spec.Labels
}

func (c *container) hostConfig() *dockercontainer.HostConfig {
	policy := dockercontainer.RestartPolicyMode(c.spec.RestartPolicy)
	if policy == "" {
		policy = dockercontainer.RestartPolicyDisabled
	}
	bindings := nat.PortMap{}
	for _, p := range c.spec.Ports {
		if p.Public != 0 {
			bindings[p.nat()] = []nat.PortBinding{{HostIP: p.HostIP, HostPort: strconv.Itoa(int(p.Public))}}
		}
	}
	return &dockercontainer.HostConfig{
		NetworkMode: dockercontainer.NetworkMode(c.mode), PortBindings: bindings,
		RestartPolicy: dockercontainer.RestartPolicy{Name: policy},
	}
}

func (c *container) config() *dockercontainer.Config {
	config := &dockercontainer.Config{
		Hostname: c.id[:min(12, len(c.id))], Image: c.spec.Image, Labels: c.labels(), Env: c.spec.Env,
		StopSignal: c.spec.StopSignal,
	}
	if c.spec.StopTimeout != 0 {
		config.StopTimeout = &c.spec.StopTimeout
	}
	for _, p := range c.spec.Ports {
		if config.ExposedPorts == nil {
			config.ExposedPorts = nat.PortSet{}
		}
		config.ExposedPorts[p.nat()] = struct{}{}
	}
	return config
}

func (c *container) networkSettings(shown state) *dockercontainer.NetworkSettings {
	settings := &dockercontainer.NetworkSettings{Networks: endpointSettings(shown.endpoints)}
	settings.Ports = nat.PortMap{}
	if bridge := settings.Networks["bridge"]; bridge != nil {
		settings.DefaultNetworkSettings = dockercontainer.DefaultNetworkSettings{
			EndpointID: bridge.EndpointID, Gateway: bridge.Gateway, IPAddress: bridge.IPAddress,
			IPPrefixLen: bridge.IPPrefixLen, IPv6Gateway: bridge.IPv6Gateway, MacAddress: bridge.MacAddress,
			GlobalIPv6Address: bridge.GlobalIPv6Address, GlobalIPv6PrefixLen: bridge.GlobalIPv6PrefixLen,
		}
	}
	if c.starts > 0 && len(settings.Networks) > 0 { // It is still said of a container that has ended.
		settings.SandboxID = makeID("sandbox", strconv.Itoa(c.starts)+c.id)
		settings.SandboxKey = "/var/run/docker/netns/" + c.sandbox(settings.SandboxID)
	}
	if shown.alive() {
		for _, p := range c.spec.Ports {
			settings.Ports[p.nat()] = p.bound()
		}
	}
	return settings
}

func (c *container) sandbox(id string) string {
	if c.mode == "host" {
		return "default"
	}
	return id[:12]
}

func (e endpoint) settings() *dockernetwork.EndpointSettings {
	settings := &dockernetwork.EndpointSettings{
		NetworkID: e.networkID, EndpointID: e.id, IPAddress: e.ipv4, GlobalIPv6Address: e.ipv6, MacAddress: macOf(e.ipv4),
	}
	if e.ipv4 != "" {
		settings.IPPrefixLen, settings.Gateway = prefix4, gatewayOf(e.ipv4, prefix4)
	}
	if e.ipv6 != "" {
		settings.GlobalIPv6PrefixLen, settings.IPv6Gateway = prefix6, gatewayOf(e.ipv6, prefix6)
	}
	return settings
}
