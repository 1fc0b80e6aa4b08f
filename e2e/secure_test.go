package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// TestTLS runs against an etcd that takes only clients with a certificate.
func TestTLS(t *testing.T) {
	t.Parallel()
	eachEtcd(t, func(t *testing.T, start func(testing.TB, ...etcdtest.Option) *etcdtest.Server) {
		authority := etcdtest.NewAuthority(t)
		etcd := start(t, etcdtest.WithTLS(authority))
		cert, key := authority.Issue("agent", time.Now().Add(time.Hour))
		n := r.NodeAt(t, etcd.Endpoint(), clientv3.Config{TLS: authority.Client()})

		stranger := etcdtest.NewAuthority(t)
		a := n.Start("--etcd.tls.ca", stranger.CAFile(), "--etcd.tls.cert", cert, "--etcd.tls.key", key)
		a.AwaitUnready("etcd: ")
		if line := a.AwaitLog("etcd does not take writes"); !strings.Contains(line, "certificate signed by unknown authority") {
			t.Errorf("of a wrong authority it says %s", line)
		}
		a.Kill()
		_, text, code := r.Exec(t, "status", "--etcd.endpoints", etcd.Endpoint(), "--etcd.tls.ca", stranger.CAFile(), "--etcd.timeout", "1s")
		if code != 1 || !strings.Contains(text, "certificate signed by unknown authority") || !strings.Contains(text, etcd.Endpoint()) {
			t.Errorf("of a wrong authority status says %d, %s", code, text)
		}

		n.Flags = []string{"--etcd.tls.ca", authority.CAFile(), "--etcd.tls.cert", cert, "--etcd.tls.key", key}
		n.Start().AwaitReady()
		n.Run("shop", rig.HTTP).Await("healthy")
		out, text, code := r.Exec(t, append([]string{"status", "--etcd.endpoints", etcd.Endpoint(), "--etcd.prefix", n.Prefix}, n.Flags...)...)
		if code != 0 || !strings.Contains(out, "healthy") {
			t.Errorf("status says %d, %s%s", code, out, text)
		}
	})
}

// TestPassword runs as a user whose role covers the prefix and nothing else.
func TestPassword(t *testing.T) {
	t.Parallel()
	eachEtcd(t, func(t *testing.T, start func(testing.TB, ...etcdtest.Option) *etcdtest.Server) {
		const password = "the agent's own"
		etcd := start(t, etcdtest.WithAuth(etcdtest.Role{User: "agent", Password: password, Prefix: "/e2e/"}))
		file := filepath.Join(t.TempDir(), "password")
		if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		n := r.NodeAt(t, etcd.Endpoint(), clientv3.Config{Username: etcdtest.Root, Password: etcdtest.RootPassword, DialTimeout: rig.Patience})
		n.Flags = []string{"--etcd.username", "agent", "--etcd.password_file", file}
		a := n.Start().AwaitReady()
		c := n.Run("shop", rig.HTTP)
		c.Await("healthy")
		if strings.Contains(a.Err.String(), password) {
			t.Error("the password stands in the log")
		}
		a.Kill()

		b := n.Start("--etcd.prefix", "/other")
		b.AwaitUnready("etcd: ")
		if line := b.AwaitLog("etcd does not take writes"); !strings.Contains(line, "permission denied") {
			t.Errorf("of a prefix that the role does not cover it says %s", line)
		}
		b.Kill()
		wrong := filepath.Join(t.TempDir(), "wrong")
		if err := os.WriteFile(wrong, []byte("another"), 0o600); err != nil {
			t.Fatal(err)
		}
		w := n.Start("--etcd.password_file", wrong)
		if line := w.AwaitLog("etcd does not take writes"); !strings.Contains(line, "authentication failed, invalid user ID or password") {
			t.Errorf("of a wrong password it says %s", line)
		}
		if strings.Contains(w.Err.String(), "another\"") {
			t.Error("the password stands in the log")
		}
	})
}
