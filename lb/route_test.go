package lb_test

import (
	"testing"

	"github.com/projecteru2/eru-agent/lb"
	"github.com/projecteru2/eru-agent/status"
)

func TestParseRoute(t *testing.T) {
	for text, want := range map[string]lb.Route{
		"shop/web":                {App: "shop", Entrypoint: "web", Backend: "shop-web"},
		"shop/web:80":             {App: "shop", Entrypoint: "web", Port: "80", Backend: "shop-web"},
		"shop/web=front":          {App: "shop", Entrypoint: "web", Backend: "front"},
		"my_shop/w.1:65535=a:b.c": {App: "my_shop", Entrypoint: "w.1", Port: "65535", Backend: "a:b.c"},
	} {
		got, err := lb.ParseRoute(text)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", text, got, err, want)
		}
		if again, err := lb.ParseRoute(got.String()); err != nil || again != want {
			t.Errorf("%s: %+v, %v", got, again, err)
		}
	}
	for text, want := range map[string]string{
		"":               `reading route "": "" is no app/entrypoint`,
		"shop":           `reading route "shop": "shop" is no app/entrypoint`,
		"a/b/c":          `reading route "a/b/c": "a/b/c" is no app/entrypoint`,
		"shop/web:":      `reading route "shop/web:": "" is no port`,
		"shop/web:0":     `reading route "shop/web:0": "0" is no port`,
		"shop/web:65536": `reading route "shop/web:65536": "65536" is no port`,
		"shop/web=":      `reading route "shop/web=": "" is no name of a backend`,
		"shop/web=a;b":   `reading route "shop/web=a;b": "a;b" is no name of a backend`,
		"shop/web=a b":   `reading route "shop/web=a b": "a b" is no name of a backend`,
	} {
		if got, err := lb.ParseRoute(text); err == nil || err.Error() != want {
			t.Errorf("%s: %+v, %v, want %s", text, got, err, want)
		}
	}
	if _, err := lb.ParseRoutes([]string{"a/b", "a/b:80", "c/d"}); err == nil || err.Error() != `reading route "a/b:80": backend "a-b" has another one already` {
		t.Errorf("two for one backend: %v", err)
	}
}

func TestEndpoint(t *testing.T) {
	all := map[string]string{"443": "10.0.0.1:443", "8080": "[::ffff:10.0.0.1]:8080", "x": "10.0.0.1:1", "90": "nonsense", "70000": "10.0.0.1:7"}
	for _, test := range []struct {
		port, want string
		endpoints  map[string]string
	}{
		{"443", "10.0.0.1:443", all},
		{"8080", "10.0.0.1:8080", all},
		{"", "10.0.0.1:443", map[string]string{"443": "10.0.0.1:443", "8080": "10.0.0.1:8080", "x": "10.0.0.1:1"}},
		{"90", "", all},
		{"80", "", all},
		{"", "", nil},
		{"80", "", map[string]string{"80": "[fe80::1%eth0;shutdown sessions server a/b]:80"}},
		{"80", "", map[string]string{"80": "0.0.0.0:80"}},
		{"80", "", map[string]string{"80": "[ff02::1]:80"}},
		{"80", "", map[string]string{"80": "10.0.0.1:0"}},
	} {
		got, ok := lb.Route{Port: test.port}.Endpoint(status.Server{Status: status.Status{Endpoints: test.endpoints}})
		if ok != (test.want != "") || ok && got.String() != test.want {
			t.Errorf("port %q: %s, %t, want %q", test.port, got, ok, test.want)
		}
	}
}
