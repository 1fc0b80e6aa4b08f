package dockertest

import (
	"net/http"

	dockernetwork "github.com/docker/docker/api/types/network"
)

// serveNetwork answers GET /networks/{id}.
func (s *Server) serveNetwork(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	n := s.findNetworkLocked(r.PathValue("id"))
	if n == nil {
		s.mu.Unlock()
		writeError(w, http.StatusNotFound, "network "+r.PathValue("id")+" not found")
		return
	}
	answer := dockernetwork.Inspect{
		Name: n.name, ID: n.id, Created: n.created, Scope: "local", Driver: n.driver,
		IPAM:    dockernetwork.IPAM{Driver: "default", Config: []dockernetwork.IPAMConfig{}},
		Options: map[string]string{}, Labels: map[string]string{}, Containers: s.membersLocked(n),
	}
	s.mu.Unlock()
	writeJSON(w, answer)
}

func (s *Server) findNetworkLocked(ref string) *network {
	for _, n := range s.networks {
		if n.id == ref || n.name == ref {
			return n
		}
	}
	return nil
}

func (s *Server) membersLocked(n *network) map[string]dockernetwork.EndpointResource {
	members := map[string]dockernetwork.EndpointResource{}
	for _, c := range s.containers {
		if e, ok := c.state.endpoints[n.name]; ok && e.id != "" {
			members[c.id] = dockernetwork.EndpointResource{
				Name: c.name, EndpointID: e.id, MacAddress: macOf(e.ipv4),
				IPv4Address: withPrefix(e.ipv4, prefix4), IPv6Address: withPrefix(e.ipv6, prefix6),
			}
		}
	}
	return members
}
