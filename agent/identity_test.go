package agent_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/projecteru2/eru-agent/status"
)

func TestIdentity(t *testing.T) {
	long := strings.Repeat("a", 128)
	compose := func(project, service string) map[string]string {
		return map[string]string{"com.docker.compose.project": project, "com.docker.compose.service": service}
	}
	for _, tt := range []struct {
		name, container string
		labels          map[string]string
		app, entrypoint string
		invalid         bool
	}{
		{"labels", "x_y_z", map[string]string{"eru.app": "shop", "eru.entrypoint": "web"}, "shop", "web", false},
		{"labels before Compose", "c", map[string]string{"eru.app": "a", "eru.entrypoint": "b", "com.docker.compose.project": "p", "com.docker.compose.service": "s"}, "a", "b", false},
		{"longest label", "c", map[string]string{"eru.app": long, "eru.entrypoint": "b"}, long, "b", false},
		{"slash in a label", "c", map[string]string{"eru.app": "a/b", "eru.entrypoint": "c"}, "c", "c", true},
		{"climbing label", "c", map[string]string{"eru.app": "a", "eru.entrypoint": "../../agent"}, "c", "c", true},
		{"too long label", "c", map[string]string{"eru.app": long + "a", "eru.entrypoint": "b"}, "c", "c", true},
		{"half a pair", "c", map[string]string{"eru.entrypoint": "b"}, "c", "c", true},
		{"empty labels are none", "c", map[string]string{"eru.app": "", "eru.entrypoint": ""}, "c", "c", false},
		{"line break", "c", map[string]string{"eru.app": "a\n", "eru.entrypoint": "b"}, "c", "c", true},
		{"not ASCII", "c", map[string]string{"eru.app": "é", "eru.entrypoint": "b"}, "c", "c", true},
		{"Eru name", "shop_web_Xy12", nil, "shop", "web", false},
		{"Eru name with _ in the app", "my_shop_web_Xy12", nil, "my_shop", "web", false},
		{"Eru name before Compose", "shop_web_1", compose("p", "s"), "shop", "web", false},
		{"no entrypoint in the name", "shop__1", nil, "shop__1", "shop__1", false},
		{"no ident in the name", "shop_web_", nil, "shop_web_", "shop_web_", false},
		{"no app in the name", "_web_1", compose("p", "s"), "p", "s", false},
		{"one _", "shop_1", nil, "shop_1", "shop_1", false},
		{"Compose", "p-s-1", compose("p", "s"), "p", "s", false},
		{"half Compose", "c", compose("p", ""), "c", "c", false},
		{"bad Compose", "c", compose("p/q", "s"), "c", "c", true},
		{"Swarm", "web.1.abc", map[string]string{"com.docker.swarm.service.name": "web"}, "web", "web", false},
		{"bad Swarm", "c", map[string]string{"com.docker.swarm.service.name": "a b"}, "c", "c", true},
		{"name", "lonely", nil, "lonely", "lonely", false},
		{"bad name", "a/b", nil, "c0ffee000000", "c0ffee000000", true},
		{"no name", "", nil, "c0ffee000000", "c0ffee000000", true},
		{"too long name", long + "a", nil, "c0ffee000000", "c0ffee000000", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := openRig(t)
				c := box("c0ffee000000ffff", tt.labels)
				c.Name = tt.container
				r.running(c)
				k, s := r.only()
				want := status.Key{App: tt.app, Entrypoint: tt.entrypoint, Node: "n1", ID: c.ID}
				if k != want || (s.State == status.StateInvalid) != tt.invalid {
					t.Errorf("%+v %s (%s), want %+v", k, s.State, s.Detail, want)
				}
			})
		})
	}
}
