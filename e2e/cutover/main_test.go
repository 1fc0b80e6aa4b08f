// Package cutover puts a real HAProxy with examples/haproxy/haproxy.cfg in front of real containers, with a real agent, etcd
// and eru-lb between them and a load running through it, and breaks one after the other. Without any of these its tests
// fail; nothing is skipped. How long things take is for bench to measure.
package cutover

import (
	"os"
	"testing"

	"github.com/projecteru2/eru-agent/e2e/rig"
)

var r *rig.Rig

func TestMain(m *testing.M) { os.Exit(rig.Main(m, &r)) } //nolint:forbidigo // a main of its own
