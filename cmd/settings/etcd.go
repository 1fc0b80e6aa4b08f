package settings

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"go.uber.org/zap"

	"github.com/projecteru2/eru-agent/status"
)

// Etcd are the keys that say how etcd is reached.
type Etcd struct {
	Endpoints    []string
	Prefix       string
	Username     string
	PasswordFile string
	TLS          status.TLS
	SessionTTL   time.Duration
	Timeout      time.Duration
}

// Flags adds the keys to f; session is what goes away with the session.
func (e *Etcd) Flags(f *pflag.FlagSet, session string) {
	f.StringSliceVar(&e.Endpoints, "etcd.endpoints", []string{"127.0.0.1:2379"}, "`addresses` of etcd's members")
	f.StringVar(&e.Prefix, "etcd.prefix", "/eru", "`path` under which all keys stand")
	f.StringVar(&e.Username, "etcd.username", "", "`user` for password authentication")
	f.StringVar(&e.PasswordFile, "etcd.password_file", "", "`file` that holds the password alone")
	f.StringVar(&e.TLS.CA, "etcd.tls.ca", "", "`file` with the authority of etcd's certificates")
	f.StringVar(&e.TLS.Cert, "etcd.tls.cert", "", "`file` with the client certificate for etcd")
	f.StringVar(&e.TLS.Key, "etcd.tls.key", "", "`file` with the key of that certificate")
	f.StringVar(&e.TLS.ServerName, "etcd.tls.server_name", "", "`name` that etcd's certificates bear, if not that of the endpoint")
	f.DurationVar(&e.SessionTTL, "etcd.session_ttl", 10*time.Second, session)
	f.DurationVar(&e.Timeout, "etcd.timeout", 3*time.Second, "of one call to etcd")
}

// At says for people where etcd is asked.
func (e *Etcd) At() string { return strings.Join(e.Endpoints, ", ") + " under " + e.Prefix }

// EtcdRules are the rules of those keys in a configuration that has them at get.
func EtcdRules[C any](get func(c *C) *Etcd) []Rule[C] {
	return []Rule[C]{
		{Key: "etcd.endpoints", Want: "a list of host:port or URLs, as [10.0.0.1:2379]", OK: func(c *C) bool { return validMembers(get(c).Endpoints) }},
		{Key: "etcd.prefix", Want: "a path of [A-Za-z0-9._-] parts, as /eru", OK: func(c *C) bool { return validPrefix(get(c).Prefix) }},
		{Key: "etcd.password_file", Want: "a file beside etcd.username, and a user beside the file", Beside: "etcd.username", OK: func(c *C) bool { return (get(c).Username == "") == (get(c).PasswordFile == "") }},
		{Key: "etcd.tls.key", Want: "a key beside etcd.tls.cert, and a certificate beside the key", Beside: "etcd.tls.cert", OK: func(c *C) bool { return (get(c).TLS.Cert == "") == (get(c).TLS.Key == "") }},
		Least("etcd.session_ttl", 2*time.Second, func(c *C) time.Duration { return get(c).SessionTTL }),
		Least("etcd.timeout", 100*time.Millisecond, func(c *C) time.Duration { return get(c).Timeout }),
	}
}

// Least is the rule of a duration that must not be shorter.
func Least[C any](key string, least time.Duration, get func(c *C) time.Duration) Rule[C] {
	return Rule[C]{Key: key, Want: fmt.Sprintf("a duration of %s or more, as 5s", least), OK: func(c *C) bool { return get(c) >= least }}
}

// Store makes the connection that the keys ask for. Its files are read by the
// connection, time and again, and once here, so that a wrong one is found at
// once.
func (e *Etcd) Store(log *zap.Logger) (*status.Store, error) {
	if err := e.checkSecrets(); err != nil {
		return nil, err
	}
	cfg := status.Config{Endpoints: e.Endpoints, Prefix: e.Prefix, Username: e.Username, PasswordFile: e.PasswordFile, Timeout: e.Timeout}
	secure := e.TLS != status.TLS{}
	for _, endpoint := range e.Endpoints {
		secure = secure || strings.HasPrefix(endpoint, "https://")
	}
	if secure {
		cfg.TLS = &e.TLS
	}
	return status.NewStore(cfg, log.Named("etcd")), nil
}

// Check reads the files that the keys name.
func (e *Etcd) Check() error {
	store, err := e.Store(zap.NewNop())
	if err != nil {
		return err
	}
	_ = store.Close()
	return nil
}

func (e *Etcd) checkSecrets() error {
	if e.PasswordFile != "" {
		if _, err := os.ReadFile(e.PasswordFile); err != nil {
			return &FileError{"etcd.password_file", err}
		}
	}
	if _, err := e.TLS.Authorities(); err != nil {
		return &FileError{"etcd.tls.ca", err}
	}
	if _, err := e.TLS.Certificate(); err != nil {
		return &FileError{"etcd.tls.cert", fmt.Errorf("reading it and etcd.tls.key: %w", err)}
	}
	return nil
}

// ValidHostPort says whether s can be listened on or dialled.
func ValidHostPort(s string) bool {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

// validMembers takes what etcd's client takes: host:port, with http:// or
// https:// if wanted, or a unix socket.
func validMembers(endpoints []string) bool {
	for _, e := range endpoints {
		address := strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(e, "http://"), "https://"), "/")
		if !strings.HasPrefix(e, "unix:") && !ValidHostPort(address) {
			return false
		}
	}
	return len(endpoints) > 0
}

func validPrefix(s string) bool {
	for part := range strings.SplitSeq(strings.Trim(s, "/"), "/") {
		if !status.ValidName(part) {
			return false
		}
	}
	return true
}
