package status_test

import (
	"strings"
	"testing"

	"github.com/projecteru2/eru-agent/status"
)

func TestParseKey(t *testing.T) {
	long := strings.Repeat("x", status.MaxName)
	for _, c := range []struct {
		prefix, key string
		want        status.Key
		err         string
	}{
		{"/eru", "/eru/status/shop/web/n1/c1", status.Key{App: "shop", Entrypoint: "web", Node: "n1", ID: "c1"}, ""},
		{"eru/", "/eru/status/a.b_c-D/0/n/c", status.Key{App: "a.b_c-D", Entrypoint: "0", Node: "n", ID: "c"}, ""},
		{"/a/b", "/a/b/status/a/b/c/d", status.Key{App: "a", Entrypoint: "b", Node: "c", ID: "d"}, ""},
		{"/eru", "/eru/status/" + long + "/b/c/d", status.Key{App: long, Entrypoint: "b", Node: "c", ID: "d"}, ""},
		{"/eru", "/eru/status/x" + long + "/b/c/d", status.Key{}, `is not 1 to 128 of [A-Za-z0-9._-]`},
		{"/eru", "/eru/status/a/b/c", status.Key{}, "want /eru/status/<app>/<entrypoint>/<node>/<container id>"},
		{"/eru", "/eru/status/a/b/c/d/e", status.Key{}, "want /eru/status/"},
		{"/eru", "/eru/status/a//c/d", status.Key{}, `"" is not 1 to 128`},
		{"/eru", "/eru/status/a/b/c/ü", status.Key{}, `"ü" is not`},
		{"/eru", "/eru/status:node/n1", status.Key{}, "want /eru/status/"},
		{"/eru", "/other/status/a/b/c/d", status.Key{}, "want /eru/status/"},
		{"/eru", "", status.Key{}, "want /eru/status/"},
	} {
		got, err := status.ParseKey(c.prefix, c.key)
		if got != c.want || (err == nil) != (c.err == "") || (err != nil && !strings.Contains(err.Error(), c.err)) {
			t.Errorf("parsing %q under %q: got %+v, %v; want %+v, %q", c.key, c.prefix, got, err, c.want, c.err)
		}
	}
}

func TestValidName(t *testing.T) {
	for name, want := range map[string]bool{
		"a": true, "A.b_c-9": true, "..": true, strings.Repeat("x", 128): true,
		"": false, strings.Repeat("x", 129): false, "a/b": false, "a b": false, "é": false, "a\x00": false, "\xff": false, "a:b": false,
	} {
		if got := status.ValidName(name); got != want {
			t.Errorf("ValidName(%q) is %v", name, got)
		}
	}
}

// FuzzParseKey holds that a key which is read is written the same way, and that
// no part of it reaches another part of the tree.
func FuzzParseKey(f *testing.F) {
	f.Add("/eru/status/shop/web/n1/c1")
	f.Add("/eru/status/../web/n1/c1")
	f.Add("/eru/status////")
	f.Add("/eru/status/a/b/c/\xff")
	f.Add("")
	f.Add("/")
	f.Add("n1/c1")
	f.Fuzz(func(t *testing.T, key string) {
		node := status.NodeIn(key)
		k, err := status.ParseKey("/eru", key)
		if err != nil {
			return
		}
		if again := status.PathOf("/eru", k); again != key {
			t.Errorf("%q is written as %q", key, again)
		}
		if node != k.Node {
			t.Errorf("%q is taken for node %q's", key, node)
		}
		for _, part := range []string{k.App, k.Entrypoint, k.Node, k.ID} {
			if !status.ValidName(part) {
				t.Errorf("%q of %q is no valid name", part, key)
			}
		}
	})
}
