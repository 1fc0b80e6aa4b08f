package status_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// TestPasswordChanged changes the password under a Store, first in etcd and
// then in the file, and the other way round.
func TestPasswordChanged(t *testing.T) {
	for server, start := range kinds {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			s := start(t, etcdtest.WithAuth(etcdtest.Role{User: "eru", Password: "first", Prefix: "/eru/"}))
			file := secret(t, "first")
			store := newStore(t, status.Config{Endpoints: []string{s.Endpoint()}, Prefix: "/eru", Username: "eru", PasswordFile: file, Timeout: unhurried})
			list := func() error { _, err := store.List(t.Context()); return err }
			h := hold(t, store, time.Minute)
			if err := list(); err != nil {
				t.Fatal(err)
			}
			setPassword(t, s, "second")
			for range 3 {
				err := list()
				if err == nil || !strings.Contains(err.Error(), `authentication failed, invalid user ID or password; the password of user "eru" is read from `+file) {
					t.Errorf("of a password that was changed: %v", err)
				}
			}
			h.still(t)
			write(t, file, "second\n")
			if err := list(); err != nil {
				t.Errorf("after the file was changed, too: %v", err)
			}
			write(t, file, "third")
			if err := list(); err != nil {
				t.Errorf("before etcd is told of the file's change: %v", err)
			}
			setPassword(t, s, "third")
			if err := list(); err != nil {
				t.Errorf("after etcd was told: %v", err)
			}
		})
	}
}

// TestRefusedPassword holds that a password that was refused is not sent again
// and again.
func TestRefusedPassword(t *testing.T) {
	s := etcdtest.Start(t, etcdtest.WithAuth(etcdtest.Role{User: "eru", Password: "right", Prefix: "/eru/"}))
	file := secret(t, "wrong")
	store := newStore(t, status.Config{Endpoints: []string{s.Endpoint()}, Prefix: "/eru", Username: "eru", PasswordFile: file, Timeout: unhurried})
	first, again := errText(store), errText(store)
	setPassword(t, s, "wrong")
	if last := errText(store); first == "" || again != first || last != first {
		t.Errorf("got %q, then %q, and %q once it was right", first, again, last)
	}
	write(t, file, "wrong\n\n")
	store.ForgetRefusal()
	if text := errText(store); text != "" {
		t.Errorf("later: %s", text)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	store = newStore(t, status.Config{Endpoints: []string{s.Endpoint()}, Prefix: "/eru", Username: "eru", PasswordFile: file, Timeout: unhurried})
	if text := errText(store); !strings.Contains(text, `signing in to etcd as "eru": reading etcd.password_file: open `+file) {
		t.Errorf("without a file: %s", text)
	}
}

func errText(s *status.Store) string {
	if _, err := s.List(context.Background()); err != nil {
		return err.Error()
	}
	return ""
}

func setPassword(t *testing.T, s *etcdtest.Server, password string) {
	t.Helper()
	if _, err := s.Client().UserChangePassword(context.Background(), "eru", password); err != nil {
		t.Fatal(err)
	}
}

// secret is a file with a password.
func secret(t *testing.T, password string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "password")
	write(t, file, password+"\n")
	return file
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
