package e2e

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/status/etcdtest"
	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

// TestRolesOfReaderAndOperator makes the roles of the documents, and has each do its part of a drain and no more.
func TestRolesOfReaderAndOperator(t *testing.T) {
	t.Parallel()
	eachEtcd(t, func(t *testing.T, start func(testing.TB, ...etcdtest.Option) *etcdtest.Server) {
		const password = "of everybody"
		etcd := start(t)
		commands := slices.Concat(etcdctl(t, "docs/proxies.md", "eru-reader"), etcdctl(t, "docs/operating.md", "eru-operator"), etcdctl(t, "README.md", ""))
		for _, command := range commands {
			if err := obey(t.Context(), etcd.Client(), command, password); err != nil {
				t.Fatalf("etcdctl %s: %v", command, err)
			}
		}
		file := filepath.Join(t.TempDir(), "password")
		if err := os.WriteFile(file, []byte(password), 0o600); err != nil {
			t.Fatal(err)
		}
		crowd := rig.NewCrowd(t, dockertest.Config{})
		root := clientv3.Config{Username: etcdtest.Root, Password: etcdtest.RootPassword, DialTimeout: rig.Patience}
		n := r.CrowdNodeUnder(t, crowd, etcd.Endpoint(), "/eru", root)
		as := func(user string) []string { return []string{"--etcd.username", user, "--etcd.password_file", file} }
		n.Start(as("eru-agent")...).AwaitReady()
		c := crowd.Join("shop")
		state := func(want string) {
			t.Helper()
			key := "status/shop/web/" + n.Name + "/" + c.ID
			n.Await(t, "state "+want, func() bool {
				e, ok := n.Last(key)
				return ok && e.Status(t).State == want
			}, func() string { e, _ := n.Last(key); return string(e.Value) })
		}
		state("healthy")

		lb := newProxy(t, n, status.Config{Username: "eru-reader", PasswordFile: file}, "lb", "shop/*")
		waiting := r.Launch(t, append(onEtcd(n, "drain", c.ID, "--wait", "--timeout", "1m"), as("eru-operator")...)...)
		waiting.Err.Await(t, "waiting for reader lb", waiting.Exited())
		state("draining")
		e, _ := n.Last("status/shop/web/" + n.Name + "/" + c.ID)
		lb.record.Drained[c.ID] = e.Revision
		lb.say()
		want(t, "exit code", waiting.Wait(), 0)
		operate(t, n, append([]string{"undrain", c.ID}, as("eru-operator")...)...)
		state("healthy")

		refuses(t, "a reader that drains", lb.store.PutDrain(t.Context(), status.DrainKey{Node: n.Name, ID: c.ID}, status.Drain{}, 0))
		for user, keys := range map[string][]string{
			"eru-reader":   {"status/shop/web/" + n.Name + "/" + c.ID, "status:node/" + n.Name, "agent/" + n.Name, "drain/" + n.Name + "/*"},
			"eru-operator": {"status/shop/web/" + n.Name + "/" + c.ID, "status:node/" + n.Name, "agent/" + n.Name, "reader/lb"},
		} {
			client, err := clientv3.New(clientv3.Config{Endpoints: []string{etcd.Endpoint()}, Username: user, Password: password, DialTimeout: rig.Patience, Logger: zap.NewNop()})
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			for _, key := range keys {
				_, err := client.Put(context.Background(), "/eru/"+key, "")
				refuses(t, user+" that writes "+key, err)
			}
		}
	})
}

func refuses(t *testing.T, what string, err error) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("%s: %v", what, err)
	}
}
