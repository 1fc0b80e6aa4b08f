// Package install holds what is handed out against what it is for: packages are made of these sources in two versions, and
// installed, upgraded and removed on a Debian with a real systemd, while its agent watches real containers and a witness
// watches etcd; images are run as the documentation says. Nothing is skipped.
package install

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/projecteru2/eru-agent/e2e/rig"
)

var (
	r *rig.Rig
	p *products
)

func TestMain(m *testing.M) { os.Exit(run(m)) } //nolint:forbidigo // a main of its own

func run(m *testing.M) int {
	var err error
	if p, err = produce(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := rig.Main(m, &r)
	if err := p.remove(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}
