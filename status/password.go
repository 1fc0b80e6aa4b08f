package status

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// refusalStands is how long a password that etcd refused is not tried again.
// Every look at one costs etcd some 100 ms of CPU, on purpose, and a fleet whose
// password was changed must not keep it busy with that.
const refusalStands = 10 * time.Second

// refusal is the last password that etcd did not take.
type refusal struct {
	password string
	at       time.Time
	err      error // nil: none was refused
}

// passwordLocked reads the password, unless etcd has just refused the one that
// is still there. That is the error then.
func (s *Store) passwordLocked() (string, error) {
	if s.cfg.PasswordFile == "" {
		return "", nil
	}
	text, err := os.ReadFile(s.cfg.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("signing in to etcd as %q: reading etcd.password_file: %w", s.cfg.Username, err)
	}
	password := strings.TrimRight(string(text), "\r\n")
	if was := s.refusal; was.err != nil && was.password == password && time.Since(was.at) < refusalStands {
		return "", was.err
	}
	return password, nil
}

// refusedLocked remembers a password if err is about it, and adds what to do.
func (s *Store) refusedLocked(password string, err error) error {
	if !errors.Is(err, errPassword) {
		return err
	}
	err = fmt.Errorf("%w; the password of user %q is read from %s for each attempt, put the one that etcd knows there", err, s.cfg.Username, s.cfg.PasswordFile)
	s.refusal = refusal{password, time.Now(), err}
	return err
}
