package status

import (
	"fmt"
	"strings"
)

// MaxName is the longest part of a key in bytes.
const MaxName = 128

// Key names one container in the tree.
type Key struct {
	App, Entrypoint, Node, ID string
}

// ValidName says whether s can stand in a key: 1 to 128 bytes of
// [A-Za-z0-9._-].
func ValidName(s string) bool {
	if s == "" || len(s) > MaxName {
		return false
	}
	return strings.IndexFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-", r)
	}) < 0
}

// layout builds and reads keys under one prefix.
type layout struct{ prefix string }

func newLayout(prefix string) layout {
	return layout{prefix: "/" + strings.Trim(prefix, "/")}
}

func (l layout) statuses() string        { return l.prefix + "/status/" }
func (l layout) nodes() string           { return l.prefix + "/status:node/" }
func (l layout) node(n string) string    { return l.nodes() + n }
func (l layout) owners() string          { return l.prefix + "/agent/" }
func (l layout) owner(n string) string   { return l.owners() + n }
func (l layout) active() string          { return l.prefix + "/selfmon/active" }
func (l layout) canary(n string) string  { return l.prefix + "/canary/" + n }
func (l layout) silences() string        { return l.prefix + "/selfmon/silent/" }
func (l layout) silence(n string) string { return l.silences() + n }
func (l layout) service(app, entrypoint string) string {
	return l.statuses() + app + "/" + entrypoint + "/"
}
func (l layout) container(k Key) string {
	return l.statuses() + k.App + "/" + k.Entrypoint + "/" + k.Node + "/" + k.ID
}

// parse reads the key of a container.
func (l layout) parse(key string) (Key, error) {
	rest, ok := strings.CutPrefix(key, l.statuses())
	parts := strings.Split(rest, "/")
	if !ok || len(parts) != 4 {
		return Key{}, fmt.Errorf("reading key %q: want %s<app>/<entrypoint>/<node>/<container id>", key, l.statuses())
	}
	for _, part := range parts {
		if !ValidName(part) {
			return Key{}, fmt.Errorf("reading key %q: %q is not 1 to %d of [A-Za-z0-9._-]", key, part, MaxName)
		}
	}
	return Key{App: parts[0], Entrypoint: parts[1], Node: parts[2], ID: parts[3]}, nil
}

// nodeIn is the node that a container's key names, if it is one: a tenth of
// parse's cost, for those who look for a node's keys among all others'.
func nodeIn(key string) string {
	end := max(0, strings.LastIndexByte(key, '/'))
	return key[strings.LastIndexByte(key[:end], '/')+1 : end]
}

// parseNode reads the key of a node.
func (l layout) parseNode(key string) (string, bool) {
	name, ok := strings.CutPrefix(key, l.nodes())
	return name, ok && ValidName(name)
}
