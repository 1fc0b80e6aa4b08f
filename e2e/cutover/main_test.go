// Package cutover puts a real HAProxy with examples/haproxy/haproxy.cfg in front of real containers, with a real agent, etcd
// and eru-lb between them and a load running through it, and breaks one after the other. Without any of these its tests
// fail; nothing is skipped. How long things take is for bench to measure.
package cutover

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
