// Package browser opens the agent's page in a real Chromium: a real agent behind
// it, real containers on it. It is a module of its own, for what drives Chromium
// is nothing that the agent needs.
package browser

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/projecteru2/eru-agent/e2e/rig"
)

var (
	r       *rig.Rig
	picture = flag.String("screenshot", "", "take a picture of the page, and write it to this `file` of the repository")
)

func TestMain(m *testing.M) { os.Exit(run(m)) } //nolint:forbidigo // a main of its own

func run(m *testing.M) int {
	if err := os.Chdir("../.."); err != nil { // the agent is built of what its own module says
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return rig.Main(m, &r)
}
