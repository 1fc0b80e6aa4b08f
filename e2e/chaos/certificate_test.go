package chaos

import (
	"crypto/tls"
	"os"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// TestCertificatesReplaced replaces each certificate on disk under a running agent: its own before it expires, the server's,
// and the authority of both, by way of a time in which both authorities count.
func TestCertificatesReplaced(t *testing.T) {
	t.Parallel()
	for _, server := range servers {
		t.Run(server.name, func(t *testing.T) {
			t.Parallel()
			row := newRow(t, ofEtcd, "certificates and authority replaced", server.name+", 20 fake")
			authority := etcdtest.NewAuthority(t)
			etcd := server.start(t, etcdtest.WithTLS(authority))
			eye := newEye(t, authority)
			u := newUnrest(row, 20, etcd.Endpoint(), clientv3.Config{TLS: eye.config()})
			u.away = 5 * time.Second // a restart of etcd, and the wait before the next attempt to connect
			own := credentials{ca: t.TempDir() + "/ca", cert: t.TempDir() + "/cert", key: t.TempDir() + "/key"}
			soon := time.Now().Add(5 * time.Second)
			own.issue(t, authority, soon)
			own.trust(t, authority)
			a := u.node.Start("--etcd.tls.ca", own.ca, "--etcd.tls.cert", own.cert, "--etcd.tls.key", own.key).AwaitReady()
			u.settle(time.Now())
			before := baseline(t, a)
			restarts := func() {
				t.Helper()
				u.stir(100 * time.Millisecond)
				etcd.Restart()
				row.injected(1)
				u.stir(100 * time.Millisecond)
				row.rightAfter(u.settle(time.Now()), 2*time.Second)
			}
			own.issue(t, authority, time.Now().Add(time.Hour))
			<-time.After(time.Until(soon)) // the fault itself: the certificate of the connection that stands has expired
			restarts()
			for range of(1, 2) {
				next := etcdtest.NewAuthority(t)
				own.trust(t, authority, next)
				eye.trust(t, next)
				own.issue(t, next, time.Now().Add(time.Hour))
				etcd.Secure(next)
				restarts()
				own.trust(t, next)
				etcd.Renew(time.Now().Add(time.Hour))
				if *full { // an embedded server of TLS takes 8 s to stop
					restarts()
				}
				authority = next
			}
			u.nothingNew()
			u.succession()
			row.flat(a, before)
		})
	}
}

// credentials are an agent's files.
type credentials struct{ ca, cert, key string }

func (c credentials) issue(t *testing.T, by *etcdtest.Authority, until time.Time) {
	t.Helper()
	cert, key := by.Issue("agent", until)
	put(t, c.cert, text(t, cert))
	put(t, c.key, text(t, key))
}

func (c credentials) trust(t *testing.T, list ...*etcdtest.Authority) {
	t.Helper()
	all := ""
	for _, authority := range list {
		all += text(t, authority.CAFile())
	}
	put(t, c.ca, all)
}

func text(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// eye is how the witness is let in, whichever authority is in force.
type eye struct {
	own atomic.Pointer[tls.Certificate]
}

func newEye(t *testing.T, first *etcdtest.Authority) *eye {
	e := &eye{}
	e.trust(t, first)
	return e
}

func (e *eye) trust(t *testing.T, authority *etcdtest.Authority) {
	t.Helper()
	own := authority.Client().Certificates[0]
	e.own.Store(&own)
}

func (e *eye) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true, // it shall see whatever there is to see
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return e.own.Load(), nil }}
}
