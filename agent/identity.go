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
	s, _, err := findService(labels, name)
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

// identifiedBy says for people from what a container's service is known.
func identifiedBy(labels map[string]string, name string) string {
	_, by, err := findService(labels, name)
	if err != nil {
		return by + ", which cannot stand in a key; the container's name or ID stands in for it"
	}
	return by
}

// findService also says from what.
func findService(labels map[string]string, name string) (service, string, error) {
	if labels["eru.app"] != "" || labels["eru.entrypoint"] != "" {
		return fromLabels(labels, "eru.app", "eru.entrypoint")
	}
	if s, ok := fromEruName(name); ok {
		return s, "its name, which is <app>_<entrypoint>_<ident>", nil
	}
	if labels["com.docker.compose.project"] != "" && labels["com.docker.compose.service"] != "" {
		return fromLabels(labels, "com.docker.compose.project", "com.docker.compose.service")
	}
	const swarm = "com.docker.swarm.service.name"
	if labels[swarm] != "" {
		return fromLabels(labels, swarm, swarm)
	}
	return service{name, name}, "its name, because no label says more", checkName("the container's name", name)
}

func fromLabels(labels map[string]string, app, entrypoint string) (service, string, error) {
	by := "the labels " + app + " and " + entrypoint
	if app == entrypoint {
		by = "the label " + app
	}
	for _, label := range []string{app, entrypoint} {
		if err := checkName(label, labels[label]); err != nil {
			return service{}, by, err
		}
	}
	return service{labels[app], labels[entrypoint]}, by, nil
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
