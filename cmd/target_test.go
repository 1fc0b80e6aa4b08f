package cmd

import (
	"testing"

	"github.com/projecteru2/eru-agent/status"
)

// crowd is a tree of containers with names and IDs that are like each other.
func crowd() status.Tree {
	v := status.NewTree()
	for _, c := range []struct{ node, id, name string }{
		{"n1", "aaaa1111", "shop_web_1"}, {"n1", "aaaa2222", "shop_web_2"}, {"n2", "bbbb1111", "shop_web_1"},
		{"n2", "cccc", "aaaa1111"}, {"n2", "dddd", "bbbb"}, {"n2", "eeee", ""},
	} {
		v.Apply(status.Change{Put: &status.Entry{
			Key: status.Key{App: "shop", Entrypoint: "web", Node: c.node, ID: c.id}, Status: status.Status{ID: c.id, Name: c.name},
		}})
	}
	v.Apply(status.Change{NodeUp: &status.Node{Nodename: "n3"}})
	return v
}

func TestFindContainer(t *testing.T) {
	left := status.Drains{Wishes: map[status.DrainKey]status.Drain{{Node: "n4", ID: "ffff"}: {}, {Node: "n4", ID: "bbbb1111"}: {}, {Node: "n4", ID: status.WholeNode}: {}}}
	for word, want := range map[string]string{
		"aaaa1111":   "shop_web_1 (aaaa1111) of node n1", // an ID goes before a name
		"bbbb1111":   "shop_web_1 (bbbb1111) of node n2", // and a status before a drain
		"shop_web_2": "shop_web_2 (aaaa2222) of node n1",
		"aaaa2":      "shop_web_2 (aaaa2222) of node n1",
		"bbbb":       "bbbb (dddd) of node n2", // and a name before the beginning of an ID
		"b":          "shop_web_1 (bbbb1111) of node n2",
		"e":          "container eeee of node n2",
		"ffff":       "container ffff of node n4",
		"shop_web_1": "\"shop_web_1\" means 2 containers; give more of the ID of one:\n  aaaa1111  shop_web_1  shop/web  node n1\n  bbbb1111  shop_web_1  shop/web  node n2",
		"aaaa":       "\"aaaa\" means 2 containers; give more of the ID of one:\n  aaaa1111  shop_web_1  shop/web  node n1\n  aaaa2222  shop_web_2  shop/web  node n1",
		"shop_web":   `no container is called "shop_web" in etcd, and no ID begins so; eru-agent status shows them`,
		"*":          `no container is called "*" in etcd, and no ID begins so; eru-agent status shows them`,
	} {
		got, err := findContainer(containers(crowd(), left), word)
		text := got.String()
		if err != nil {
			text = err.Error()
		}
		if text != want {
			t.Errorf("%q: got\n%s\nwant\n%s", word, text, want)
		}
	}
}

func TestFindNode(t *testing.T) {
	left := status.Drains{Wishes: map[status.DrainKey]status.Drain{{Node: "n4", ID: "ffff"}: {}}}
	for _, node := range []string{"n1", "n2", "n3", "n4"} {
		if got, err := findNode(crowd(), left, node); err != nil || got.String() != "node "+node || got.argument() != "--node "+node {
			t.Errorf("%s: %v, %v", node, got, err)
		}
	}
	if _, err := findNode(crowd(), left, "n"); err == nil || err.Error() != `no node is called "n" in etcd; there are n1, n2, n3, n4` {
		t.Errorf("an unknown one: %v", err)
	}
	if _, err := findNode(status.NewTree(), status.Drains{}, "n"); err == nil || err.Error() != `no node is called "n" in etcd; there are none` {
		t.Errorf("without any: %v", err)
	}
}
