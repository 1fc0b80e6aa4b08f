package e2e

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// TestNodeCommand lets one of two agents die, looks at both, and forgets the one
// that is gone.
func TestNodeCommand(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	here := r.NodeAt(t, etcd.Endpoint(), clientv3.Config{})
	gone := r.NodeAt(t, etcd.Endpoint(), clientv3.Config{})
	for _, n := range []*rig.Node{here, gone} {
		n.Flags = []string{"--etcd.session_ttl", "2s", "--node_ip", "127.0.0.1"} // a host that answers
	}
	here.Start().AwaitReady()
	a := gone.Start().AwaitReady()
	c := gone.Run("shop", rig.HTTP)
	c.Await("healthy")
	node := func(words ...string) (string, string, int) {
		t.Helper()
		return r.Exec(t, append(append([]string{"node"}, words...), "--etcd.endpoints", etcd.Endpoint(), "--etcd.prefix", here.Prefix)...)
	}
	if _, errs, code := node("forget", gone.Name); code != 1 || !strings.Contains(errs, "the node is alive") {
		t.Errorf("to forget a live one ended with %d: %s", code, errs)
	}
	if _, errs, code := node("forget", "nobody"); code != 1 || !strings.Contains(errs, "no such node") {
		t.Errorf("to forget one that never was ended with %d: %s", code, errs)
	}
	a.Kill()
	line := `(?m)^silent +` + gone.Name + ` +\d+s +answers +` + here.Name + ` +` + `127\.0\.0\.1 +` + rig.Version + ` +1 healthy$`
	rig.Await(t, "the silent node to be looked after", func() error {
		out, errs, code := node("list")
		alive := `(?m)^alive +` + here.Name + ` `
		if code != 0 || errs != "" || !regexp.MustCompile(line).MatchString(out) || !regexp.MustCompile(alive).MatchString(out) {
			return fmt.Errorf("%d, %s\n%s", code, errs, out)
		}
		return nil
	})
	var doc struct {
		Monitor struct{ Node string }
		Nodes   []struct {
			Node, Agent string
			Containers  map[string]int
		}
	}
	out, _, _ := node("list", "-o", "json")
	if err := json.Unmarshal([]byte(out), &doc); err != nil || doc.Monitor.Node != here.Name || len(doc.Nodes) != 2 {
		t.Errorf("%v: %s", err, out)
	}
	if out, errs, code := node("forget", gone.Name); code != 0 || out != "node "+gone.Name+" is forgotten, and 1 container with it\n" {
		t.Errorf("to forget it ended with %d: %s%s", code, out, errs)
	}
	if out, _, _ := node("list"); strings.Contains(out, gone.Name) {
		t.Errorf("it is still there:\n%s", out)
	}
	gone.Start().AwaitReady() // and it may come back
	c.Await("healthy")
}
