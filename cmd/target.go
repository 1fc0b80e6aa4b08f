package cmd

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/projecteru2/eru-agent/foreign"
	"github.com/projecteru2/eru-agent/status"
)

// target is whom a drain is about: a container or a whole node.
type target struct {
	key  status.DrainKey
	name string // the container's
	app  string // and its service, "" for one that etcd has no status of
}

func (t target) String() string {
	switch {
	case t.key.ID == status.WholeNode:
		return "node " + t.key.Node
	case t.name == "":
		return fmt.Sprintf("container %.12s of node %s", t.key.ID, t.key.Node)
	default:
		return fmt.Sprintf("%s (%.12s) of node %s", foreign.Text(t.name), t.key.ID, t.key.Node)
	}
}

// argument is how the target is named on the command line.
func (t target) argument() string {
	if t.key.ID == status.WholeNode {
		return "--node " + t.key.Node
	}
	return t.key.ID[:min(len(t.key.ID), 12)]
}

// covers says whether a container is meant.
func (t target) covers(k status.Key) bool {
	return k.Node == t.key.Node && (t.key.ID == status.WholeNode || t.key.ID == k.ID)
}

// containers are those that etcd knows: by a status, or by a drain that has
// outlived its container.
func containers(tree status.Tree, drains status.Drains) []target {
	found := map[status.DrainKey]target{}
	for k := range drains.Wishes {
		if k.ID != status.WholeNode {
			found[k] = target{key: k}
		}
	}
	for k, e := range tree.Containers {
		at := status.DrainKey{Node: k.Node, ID: k.ID}
		found[at] = target{key: at, name: e.Status.Name, app: k.App + "/" + k.Entrypoint}
	}
	return slices.SortedFunc(maps.Values(found), func(a, b target) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.key.Node, b.key.Node), strings.Compare(a.key.ID, b.key.ID))
	})
}

// findContainer picks the one that word means: by ID, else by name, else by how
// its ID begins.
func findContainer(known []target, word string) (target, error) {
	for _, means := range []func(target) bool{
		func(t target) bool { return t.key.ID == word },
		func(t target) bool { return t.name == word },
		func(t target) bool { return strings.HasPrefix(t.key.ID, word) },
	} {
		fit := slices.DeleteFunc(slices.Clone(known), func(t target) bool { return !means(t) })
		if alive := slices.DeleteFunc(slices.Clone(fit), func(t target) bool { return t.app == "" }); len(alive) > 0 {
			fit = alive // what only a drain tells of is gone
		}
		if len(fit) == 1 {
			return fit[0], nil
		}
		if len(fit) > 1 {
			return target{}, ambiguous(word, fit)
		}
	}
	return target{}, fmt.Errorf("no container is called %q in etcd, and no ID begins so; eru-agent status shows them", word)
}

func ambiguous(word string, fit []target) error {
	text := fmt.Sprintf("%q means %d containers; give more of the ID of one:", word, len(fit))
	for _, t := range fit {
		text += fmt.Sprintf("\n  %s  %s  %s  node %s", t.key.ID, cmp.Or(foreign.Text(t.name), "-"), cmp.Or(t.app, "-"), t.key.Node)
	}
	return errors.New(text)
}

// findNode is a node that etcd knows.
func findNode(tree status.Tree, drains status.Drains, node string) (target, error) {
	known := map[string]bool{}
	for name := range tree.Nodes {
		known[name] = true
	}
	for k := range tree.Containers {
		known[k.Node] = true
	}
	for k := range drains.Wishes {
		known[k.Node] = true
	}
	if !known[node] {
		return target{}, fmt.Errorf("no node is called %q in etcd; there are %s", node, cmp.Or(strings.Join(slices.Sorted(maps.Keys(known)), ", "), "none"))
	}
	return target{key: status.DrainKey{Node: node, ID: status.WholeNode}}, nil
}
