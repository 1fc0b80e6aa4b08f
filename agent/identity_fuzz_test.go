package agent

import (
	"testing"

	"github.com/projecteru2/eru-agent/status"
)

// Whatever labels and names say, a key has its four parts and no more.
func FuzzIdentify(f *testing.F) {
	f.Add("shop", "web", "p", "s", "svc", "shop_web_1")
	f.Add("", "", "", "", "", "my_shop_web_1")
	f.Add("../../x", "a/b", "\n", "", "", "")
	f.Add("", "", "", "", "", "a/b_c_d")
	f.Fuzz(func(t *testing.T, app, entrypoint, project, service, swarm, name string) {
		k, err := Identify(map[string]string{
			"eru.app": app, "eru.entrypoint": entrypoint,
			"com.docker.compose.project": project, "com.docker.compose.service": service,
			"com.docker.swarm.service.name": swarm,
		}, name, "n1", "c0ffee0123456789")
		if !status.ValidName(k.App) || !status.ValidName(k.Entrypoint) || k.Node != "n1" || k.ID != "c0ffee0123456789" {
			t.Errorf("%+v, %v", k, err)
		}
	})
}
