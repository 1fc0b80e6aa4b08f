// Package contrib holds what others use to watch the agent and eru-lb: alarms and a dashboard. Its tests run them in a real
// Prometheus that scrapes the real programs, so that nothing here asks for what nobody exports. Without promtool, Prometheus,
// Docker, etcd or HAProxy they fail; nothing is skipped.
package contrib

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/projecteru2/eru-agent/e2e/rig"
)

var r *rig.Rig

func TestMain(m *testing.M) {
	var err error
	if r, err = rig.New(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:forbidigo // a main of its own
	}
	code := m.Run()
	if err := r.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "clearing away:", err)
		code = 1
	}
	os.Exit(code) //nolint:forbidigo // a main of its own
}
