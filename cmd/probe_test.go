package cmd

import (
	"strings"
	"testing"

	"github.com/projecteru2/eru-agent/healthcheck"
	"github.com/projecteru2/eru-agent/watcher"
)

// What is invalid in etcd is invalid to the probe command as well, whichever
// label it is.
func TestProbeSaysInvalid(t *testing.T) {
	for label, value := range map[string]string{"eru.app": "a/b", "eru.health.http.port": "http", "eru.health.via": "netns"} {
		labels := map[string]string{"eru.app": "a", "eru.entrypoint": "b"}
		labels[label] = value
		rep := ask(t.Context(), watcher.Container{ID: "1", Name: "web", Labels: labels}, healthcheck.NewParser(healthcheck.Config{}))
		if rep.Healthy || !strings.HasPrefix(rep.Summary, "invalid: ") || !strings.Contains(rep.Summary, label) {
			t.Errorf("%s=%s: healthy %t, %q", label, value, rep.Healthy, rep.Summary)
		}
	}
}
