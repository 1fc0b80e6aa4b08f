package status

import "strings"

// Scope says which containers a View is of; an empty field is any, so that the
// zero Scope is everything.
type Scope struct {
	App        string `json:"app,omitempty"`
	Entrypoint string `json:"entrypoint,omitempty"`
	Node       string `json:"node,omitempty"`
}

// holds says whether a container is of the scope.
func (s Scope) holds(k Key) bool {
	return (s.App == "" || s.App == k.App) && (s.Entrypoint == "" || s.Entrypoint == k.Entrypoint) && (s.Node == "" || s.Node == k.Node)
}

// within is the prefix of all containers of a scope, and of as few others as the
// order of keys allows.
func (l layout) within(s Scope) string {
	switch {
	case s.App == "":
		return l.statuses()
	case s.Entrypoint == "":
		return l.statuses() + s.App + "/"
	default:
		return l.statuses() + s.App + "/" + s.Entrypoint + "/"
	}
}

// tree names for people where a scope's containers are.
func (l layout) tree(s Scope) string { return strings.TrimSuffix(l.within(s), "/") }

// ranges are the prefixes of what a reader follows: the containers of its scope,
// and all nodes.
func (l layout) ranges(s Scope) [2]string { return [2]string{l.within(s), l.nodes()} }
