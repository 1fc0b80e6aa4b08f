// Package e2e runs the real agent on a real Docker Engine and real etcd servers, and watches etcd as a proxy would.
// Without either its tests fail; nothing is skipped. Faults beyond those of an ordinary day are package chaos's.
package e2e

import (
	"os"
	"testing"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

var r *rig.Rig

func TestMain(m *testing.M) { os.Exit(rig.Main(m, &r)) } //nolint:forbidigo // a main of its own

// eachEtcd runs a test against both kinds of server.
func eachEtcd(t *testing.T, test func(t *testing.T, start func(testing.TB, ...etcdtest.Option) *etcdtest.Server)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) { t.Parallel(); test(t, etcdtest.Start) })
	t.Run("process", func(t *testing.T) { t.Parallel(); test(t, etcdtest.StartProcess) })
}
