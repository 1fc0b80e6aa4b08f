package status_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestDependencies holds that a proxy which links this package links nothing but
// etcd's client, and what that is made of.
func TestDependencies(t *testing.T) {
	const client = "go.etcd.io/etcd/client/v3"
	allowed := append(packages(t, client), packages(t, "std")...)
	allowed = append(allowed, "github.com/projecteru2/eru-agent/status", "github.com/projecteru2/eru-agent/foreign") // the latter imports std alone
	for _, pkg := range packages(t, ".") {
		if !slices.Contains(allowed, pkg) {
			t.Errorf("it links %s, which %s does not", pkg, client)
		}
	}
}

// packages are those that a package is made of, with itself.
func packages(t *testing.T, pattern string) []string {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", pattern).Output()
	if err != nil {
		t.Fatalf("listing the packages of %s: %v", pattern, err)
	}
	return strings.Fields(string(out))
}
