// Package browser opens the agent's page in a real Chromium: a real agent behind
// it, real containers on it. It is a module of its own, for what drives Chromium
// is nothing that the agent needs.
package browser

import (
	"context"
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

func TestMain(m *testing.M) {
	err := os.Chdir("../..") // the agent is built of what its own module says
	if err == nil {
		r, err = rig.New(context.Background())
	}
	if err != nil {
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
