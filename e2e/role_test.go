package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

// etcdctl are the commands of a document that are about a user, or with "" about any, in their order.
func etcdctl(t *testing.T, document, user string) []string {
	t.Helper()
	text, err := os.ReadFile("../" + document)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for line := range strings.Lines(string(text)) {
		if command, ok := strings.CutPrefix(line, "etcdctl "); ok && !strings.HasPrefix(command, "get ") && strings.Contains(command, user) {
			list = append(list, strings.TrimSpace(command))
		}
	}
	return list
}

// obey does what a command of etcdctl does; users without a password are those of certificates.
func obey(ctx context.Context, c *clientv3.Client, command, password string) error {
	words := strings.Fields(command)
	var err error
	switch {
	case command == "auth enable": // which makes the role root as well
		for _, do := range []func() error{
			func() error { _, err := c.RoleAdd(ctx, "root"); return err },
			func() error { _, err := c.UserGrantRole(ctx, "root", "root"); return err },
			func() error { _, err := c.AuthEnable(ctx); return err },
		} {
			if err == nil {
				err = do()
			}
		}
	case command == "user add root":
		_, err = c.UserAdd(ctx, "root", etcdtest.RootPassword)
	case strings.HasPrefix(command, "user add ") && password == "":
		_, err = c.UserAddWithOptions(ctx, words[2], "", &clientv3.UserAddOptions{NoPassword: true})
	case strings.HasPrefix(command, "user add "):
		_, err = c.UserAdd(ctx, words[2], password)
	case strings.HasPrefix(command, "user grant-role "):
		_, err = c.UserGrantRole(ctx, words[2], words[3])
	case strings.HasPrefix(command, "role add "):
		_, err = c.RoleAdd(ctx, words[2])
	case strings.HasPrefix(command, "role grant-permission ") && words[3] == "--prefix=true":
		kinds := map[string]clientv3.PermissionType{"read": clientv3.PermissionType(clientv3.PermRead), "readwrite": clientv3.PermissionType(clientv3.PermReadWrite)}
		kind, ok := kinds[words[4]]
		if !ok {
			return errors.New("this test does not know that permission")
		}
		_, err = c.RoleGrantPermission(ctx, words[2], words[5], clientv3.GetPrefixRangeEnd(words[5]), kind)
	default:
		err = errors.New("this test does not know that command")
	}
	return err
}

// TestRoleOfReadme does to an etcd what README.md says, and lets the agent do all that it can do there, once with a password
// and once with a certificate; what the role does not cover is refused.
func TestRoleOfReadme(t *testing.T) {
	t.Parallel()
	eachEtcd(t, func(t *testing.T, start func(testing.TB, ...etcdtest.Option) *etcdtest.Server) {
		t.Run("password", func(t *testing.T) {
			const password = "of the newcomer"
			etcd := start(t)
			file := filepath.Join(t.TempDir(), "password")
			if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			asNewcomer(t, etcd, password, clientv3.Config{Username: "eru-agent", Password: password}, nil, "--etcd.username", "eru-agent", "--etcd.password_file", file)
		})
		t.Run("certificate", func(t *testing.T) {
			authority := etcdtest.NewAuthority(t)
			etcd := start(t, etcdtest.WithTLS(authority))
			cert, key := authority.Issue("eru-agent", time.Now().Add(time.Hour))
			pair, err := tls.LoadX509KeyPair(cert, key)
			if err != nil {
				t.Fatal(err)
			}
			own := authority.Client()
			own.Certificates = []tls.Certificate{pair}
			asNewcomer(t, etcd, "", clientv3.Config{TLS: own}, []string{"--projections", "traefik,skydns"},
				"--etcd.tls.ca", authority.CAFile(), "--etcd.tls.cert", cert, "--etcd.tls.key", key)
		})
	})
}

// asNewcomer follows README.md, and docs/operating.md if the agent projects, and then runs everything with flags; own is who the
// agent is.
func asNewcomer(t *testing.T, etcd *etcdtest.Server, password string, own clientv3.Config, projecting []string, flags ...string) {
	t.Helper()
	commands := etcdctl(t, "README.md", "")
	if projecting != nil {
		commands = slices.Insert(commands, 1, etcdctl(t, "docs/operating.md", "eru-agent")...)
	}
	if len(commands) == 0 || commands[len(commands)-1] != "auth enable" {
		t.Fatalf("README.md has the commands %q", commands)
	}
	admin := etcd.Client()
	for _, command := range commands {
		if err := obey(t.Context(), admin, command, password); err != nil {
			t.Fatalf("etcdctl %s: %v", command, err)
		}
	}
	root := clientv3.Config{Username: etcdtest.Root, Password: etcdtest.RootPassword, DialTimeout: rig.Patience, TLS: own.TLS}
	crowd := rig.NewCrowd(t, dockertest.Config{})
	n := r.CrowdNode(t, crowd, etcd.Endpoint(), root)
	n.Flags = append(flags, "--etcd.prefix", "/eru")
	repertoire(t, n, crowd, projecting...)

	own.Endpoints, own.DialTimeout, own.Logger = []string{etcd.Endpoint()}, rig.Patience, zap.NewNop()
	client, err := clientv3.New(own)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if resp, err := client.Get(t.Context(), "traefik/http/services/", clientv3.WithPrefix()); projecting != nil {
		// It was the last server of its service.
		if err != nil || len(resp.Kvs) != 2 || !strings.HasPrefix(string(resp.Kvs[0].Value), "http://") || string(resp.Kvs[1].Value) != "0" {
			t.Errorf("for Traefik there is %v, %v", resp, err)
		}
	} else if err == nil {
		t.Error("the agent may read what is Traefik's")
	}
	for what, do := range map[string]func(ctx context.Context) error{
		"reading beside the prefix":   func(ctx context.Context) error { _, err := client.Get(ctx, "/eru2/a"); return err },
		"reading the prefix's parent": func(ctx context.Context) error { _, err := client.Get(ctx, "/eru"); return err },
		"reading everything":          func(ctx context.Context) error { _, err := client.Get(ctx, "", clientv3.WithPrefix()); return err },
		"writing beside the prefix":   func(ctx context.Context) error { _, err := client.Put(ctx, "/eru2/a", ""); return err },
		"deleting everything":         func(ctx context.Context) error { _, err := client.Delete(ctx, "", clientv3.WithPrefix()); return err },
		"listing users":               func(ctx context.Context) error { _, err := client.UserList(ctx); return err },
		"giving itself more":          func(ctx context.Context) error { _, err := client.UserGrantRole(ctx, "eru-agent", "root"); return err },
	} {
		if err := do(t.Context()); err == nil || !strings.Contains(err.Error(), "permission denied") {
			t.Errorf("%s: %v", what, err)
		}
	}
	other := n.Start("--etcd.prefix", "/eru2")
	if line := other.AwaitLog("etcd does not take writes"); !strings.Contains(line, "permission denied") {
		t.Errorf("of a prefix that the role does not cover it says %s", line)
	}
}

// repertoire is all that the agent does in etcd: claim, scan, write, delete, hold a session, follow, be taken over, stop.
func repertoire(t *testing.T, n *rig.Node, crowd *rig.Crowd, more ...string) {
	t.Helper()
	args := func(more ...string) []string {
		return slices.Concat([]string{"status", "--etcd.endpoints", n.Endpoint()}, n.Flags, more)
	}
	live := r.Launch(t, args("-w", "-o", "json")...)
	first := n.Start(more...).AwaitReady()
	live.AwaitOut(`"change":"node"`)
	c := crowd.Join("newcomer")
	live.AwaitOut(`"state":"healthy"`)
	out, errs, code := r.Exec(t, args()...)
	if code != 0 || !strings.Contains(out, "healthy") || !strings.Contains(out, "newcomer") {
		t.Errorf("status says %d, %s%s", code, out, errs)
	}
	second := n.Start(more...).AwaitReady()
	want(t, "exit code of the first", first.Wait(), 1)
	crowd.Remove(c.ID)
	live.AwaitOut(`"state":"stopped"`)
	live.AwaitOut(`"change":"deleted"`)
	second.Signal(syscall.SIGTERM)
	live.AwaitOut(`"state":"stopping"`)
	want(t, "exit code of the second", second.Wait(), 0)
	if text := second.Err.String() + first.Err.String(); strings.Contains(text, "permission denied") {
		t.Errorf("something was refused: %s", text)
	}
}
