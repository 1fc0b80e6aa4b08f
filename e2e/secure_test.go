package e2e

import (
	"os"
	"path/filepath"
	"slices"
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
		authority, stranger := etcdtest.NewAuthority(t), etcdtest.NewAuthority(t)
		etcd := start(t, etcdtest.WithTLS(authority))
		n := r.NodeAt(t, etcd.Endpoint(), clientv3.Config{TLS: authority.Client()})
		past := time.Now().Add(-time.Minute)
		well := certified(authority, authority, time.Now().Add(time.Hour))
		for flags, want := range map[*[]string]string{
			ptr(certified(authority, stranger, time.Now().Add(time.Hour))):  " of an authority that is not in " + stranger.CAFile(),
			ptr(append(well, "--etcd.tls.server_name", "etcd.example.com")): ", and was asked for etcd.example.com; ",
			ptr(certified(authority, authority, past)):                      " it has expired, at " + past.UTC().Format(time.RFC3339),
			ptr(certified(stranger, authority, time.Now().Add(time.Hour))):  " refuses the client certificate",
			ptr(well[:2]): " wants a client certificate (",
		} {
			refusedAs(t, n, *flags, "etcd at "+etcd.Address()+" ", want)
		}

		n.Flags = well
		n.Start().AwaitReady()
		n.Run("shop", rig.HTTP).Await("healthy")
		out, text, code := r.Exec(t, append([]string{"status", "--etcd.endpoints", etcd.Endpoint(), "--etcd.prefix", n.Prefix}, well...)...)
		if code != 0 || !strings.Contains(out, "healthy") {
			t.Errorf("status says %d, %s%s", code, out, text)
		}
		etcd.Renew(past)
		refusedAs(t, n, nil, "etcd at "+etcd.Address()+" ", "has expired, at "+past.UTC().Format(time.RFC3339)+"; renew it there")
	})
}

func ptr[T any](v T) *T { return &v }

// certified are the flags of a client with a certificate of own, which trusts ca.
func certified(own, ca *etcdtest.Authority, until time.Time) []string {
	cert, key := own.Issue("agent", until)
	return []string{"--etcd.tls.ca", ca.CAFile(), "--etcd.tls.cert", cert, "--etcd.tls.key", key}
}

// refusedAs holds that run and status say each in one line on which endpoint what is wrong.
func refusedAs(t *testing.T, n *rig.Node, flags []string, want ...string) {
	t.Helper()
	flags = append(slices.Clip(flags), "--etcd.timeout", "1s")
	a := n.Start(flags...)
	a.AwaitUnready("etcd: ")
	line := a.AwaitLog("etcd does not take writes")
	a.Kill()
	args := slices.Concat([]string{"status", "--etcd.endpoints", n.Endpoint()}, n.Flags, flags)
	_, text, code := r.Exec(t, args...)
	if code != 1 || strings.Count(text, "\n") != 1 {
		t.Errorf("status ends with %d and says %s", code, text)
	}
	for _, word := range want {
		if !strings.Contains(line, word) || !strings.Contains(text, word) || strings.Contains(line+text, "desc =") {
			t.Errorf("want %q; run says %s, status %s", word, line, text)
		}
	}
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
