package agent

import (
	"fmt"
	"strings"

	"github.com/projecteru2/eru-agent/status"
)

// service is what a proxy sends traffic to: a group of containers.
type service struct{ app, entrypoint string }

// Identify finds the service of a container, by the first rule of the contract
// that applies. A label that cannot stand in a key is an error, and the key is
// then made from the container's name, so that no label reaches another part of
// the tree.
func Identify(labels map[string]string, name, node, id string) (status.Key, error) {
	s, err := findService(labels, name)
	if err != nil {
		fallback := fallbackName(name, id)
		s = service{fallback, fallback}
	}
	return status.Key{App: s.app, Entrypoint: s.entrypoint, Node: node, ID: id}, err
}

func fallbackName(name, id string) string {
	if status.ValidName(name) {
		return name
	}
	return short(id)
}

func findService(labels map[string]string, name string) (service, error) {
	if labels["eru.app"] != "" || labels["eru.entrypoint"] != "" {
		return fromLabels(labels, "eru.app", "eru.entrypoint")
	}
	if s, ok := fromEruName(name); ok {
		return s, nil
	}
	if labels["com.docker.compose.project"] != "" && labels["com.docker.compose.service"] != "" {
		return fromLabels(labels, "com.docker.compose.project", "com.docker.compose.service")
	}
	const swarm = "com.docker.swarm.service.name"
	if labels[swarm] != "" {
		return fromLabels(labels, swarm, swarm)
	}
	return service{name, name}, checkName("the container's name", name)
}

func fromLabels(labels map[string]string, app, entrypoint string) (service, error) {
	for _, label := range []string{app, entrypoint} {
		if err := checkName(label, labels[label]); err != nil {
			return service{}, err
		}
	}
	return service{labels[app], labels[entrypoint]}, nil
}

func checkName(what, value string) error {
	if status.ValidName(value) {
		return nil
	}
	return fmt.Errorf("%s=%.64q: want 1 to %d of [A-Za-z0-9._-]", what, value, status.MaxName)
}

// fromEruName splits <app>_<entrypoint>_<ident> from the right: an app may
// contain an underscore.
func fromEruName(name string) (service, bool) {
	parts := strings.Split(name, "_")
	n := len(parts)
	if n < 3 || parts[n-1] == "" {
		return service{}, false
	}
	s := service{app: strings.Join(parts[:n-2], "_"), entrypoint: parts[n-2]}
	return s, status.ValidName(s.app) && status.ValidName(s.entrypoint)
}
