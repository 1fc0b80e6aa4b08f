// Package contrib holds what others use to watch the agent and eru-lb: alarms and a dashboard. Its tests run them in a real
// Prometheus that scrapes the real programs, so that nothing here asks for what nobody exports. Without promtool, Prometheus,
// Docker, etcd or HAProxy they fail; nothing is skipped.
package contrib

import (
	"os"
	"testing"

	"github.com/projecteru2/eru-agent/e2e/rig"
)

var r *rig.Rig

func TestMain(m *testing.M) { os.Exit(rig.Main(m, &r)) } //nolint:forbidigo // a main of its own
