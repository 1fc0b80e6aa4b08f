package chaos

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

const user, firstPassword = "agent", "the first"

// role may touch the prefix of the tests' nodes.
func role() etcdtest.Option {
	return etcdtest.WithAuth(etcdtest.Role{User: user, Password: firstPassword, Prefix: "/e2e/"})
}

// newUser is an unrest at an etcd with a role, whose agents sign in with the password in the file.
func newUser(row *row, etcd *etcdtest.Server) (*unrest, string) {
	row.t.Helper()
	file := filepath.Join(row.t.TempDir(), "password")
	put(row.t, file, firstPassword)
	u := newUnrest(row, 20, etcd.Endpoint(), clientv3.Config{Username: etcdtest.Root, Password: etcdtest.RootPassword, DialTimeout: rig.Patience})
	u.node.Flags = []string{"--etcd.username", user, "--etcd.password_file", file}
	return u, file
}

// put replaces a file at once.
func put(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

// TestTokenExpired lets the agent's authentication token expire, again and again, while it is idle and while it is busy.
func TestTokenExpired(t *testing.T) {
	t.Parallel()
	const ttl = 2 * time.Second
	for _, server := range servers {
		t.Run(server.name, func(t *testing.T) {
			t.Parallel()
			row := newRow(t, ofEtcd, "authentication token expired", server.name+", 20 fake")
			u, _ := newUser(row, server.start(t, role(), etcdtest.WithTokenTTL(ttl)))
			u.away = 2 * time.Second
			a := u.node.Start().AwaitReady()
			u.settle(time.Now())
			before := baseline(t, a)
			for range of(1, 4) {
				<-time.After(2 * ttl) // the fault itself: the agent has nothing to write
				u.stir(100 * time.Millisecond)
				row.rightAfter(u.settle(time.Now()), 2*time.Second)
				u.stir(2 * ttl)
				row.rightAfter(u.settle(time.Now()), 2*time.Second)
				row.injected(2)
			}
			// The witness's own token has expired as well; what it watches goes on.
			row.flat(a, before)
			if lost, err := a.Metric("eru_agent_etcd_session_lost_total"); err == nil {
				row.note("%v sessions opened anew", lost)
			}
		})
	}
}

// TestPasswordReplaced changes the agent's password in etcd, and only later in its file.
func TestPasswordReplaced(t *testing.T) {
	t.Parallel()
	for _, server := range servers {
		t.Run(server.name, func(t *testing.T) {
			t.Parallel()
			row := newRow(t, ofEtcd, "password changed while it runs", server.name+", 20 fake")
			etcd := server.start(t, role())
			u, file := newUser(row, etcd)
			u.away = 3 * time.Second // how long nothing can be written
			a := u.node.Start().AwaitReady()
			u.settle(time.Now())
			before := baseline(t, a)
			for i := range of(2, 10) {
				password := fmt.Sprintf("number %d", i)
				if _, err := etcd.Client().UserChangePassword(context.Background(), user, password); err != nil {
					t.Fatal(err)
				}
				row.injected(1)
				u.stir(time.Second)
				line := a.AwaitLog("invalid user ID or password")
				if !strings.Contains(line, "etcd does not take writes") || !strings.Contains(line, `the password of user \"agent\" is read from `+file) {
					t.Errorf("it says %s", line)
				}
				put(t, file, password+"\n")
				row.rightAfter(u.settle(time.Now()), 2*time.Second)
			}
			u.nothingNew()
			u.succession()
			row.flat(a, before)
			if strings.Contains(a.Err.String(), "number ") || strings.Contains(a.Err.String(), firstPassword) {
				t.Error("a password stands in the log")
			}
		})
	}
}

// TestRoleRevoked takes the agent's role away and gives it back.
func TestRoleRevoked(t *testing.T) {
	t.Parallel()
	for _, server := range servers {
		t.Run(server.name, func(t *testing.T) {
			t.Parallel()
			row := newRow(t, ofEtcd, "role revoked and granted again", server.name+", 20 fake")
			etcd := server.start(t, role())
			u, _ := newUser(row, etcd)
			u.away = 3 * time.Second // how long nothing can be written
			a := u.node.Start().AwaitReady()
			u.settle(time.Now())
			before := baseline(t, a)
			for range of(2, 10) {
				if _, err := etcd.Client().UserRevokeRole(context.Background(), user, user); err != nil {
					t.Fatal(err)
				}
				row.injected(1)
				u.stir(time.Second)
				a.AwaitLog("permission denied")
				if _, err := etcd.Client().UserGrantRole(context.Background(), user, user); err != nil {
					t.Fatal(err)
				}
				row.rightAfter(u.settle(time.Now()), 2*time.Second)
			}
			u.nothingNew()
			u.succession()
			row.flat(a, before)
		})
	}
}
