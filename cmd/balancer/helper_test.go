package balancer

import (
	"bytes"
	"net"
	"os"
	"strings"
	"testing"
)

// withoutVariables hides what the machine's own environment says to eru-lb.
func withoutVariables(t *testing.T) {
	t.Helper()
	for _, pair := range os.Environ() {
		if name, value, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "ERU_LB_") {
			t.Setenv(name, value) // gives it back at the end
			_ = os.Unsetenv(name)
		}
	}
}

// runMain runs a command line and returns what it printed and its exit code.
func runMain(t *testing.T, args ...string) (string, string, int) {
	t.Helper()
	var out, errs bytes.Buffer
	code := Main(t.Context(), args, &out, &errs)
	return out.String(), errs.String(), code
}

// listen takes a port.
func listen(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}
