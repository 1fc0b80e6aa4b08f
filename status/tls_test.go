package status_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// kinds are the servers, by name.
var kinds = map[string]func(testing.TB, ...etcdtest.Option) *etcdtest.Server{"3.7": etcdtest.Start, "3.4": etcdtest.StartProcess}

// certified are the files of a client with a certificate of own, which trusts ca.
func certified(own, ca *etcdtest.Authority, until time.Time) status.TLS {
	cert, key := own.Issue("agent", until)
	return status.TLS{CA: ca.CAFile(), Cert: cert, Key: key}
}

// TestTLS holds what an operator is told about certificates that are not taken,
// by either side. Of a refusal 3.4 says no more than that the certificate is bad.
func TestTLS(t *testing.T) {
	ours, others := etcdtest.NewAuthority(t), etcdtest.NewAuthority(t)
	soon, past := time.Now().Add(time.Hour), time.Now().Add(-time.Minute)
	well, strangers, expired := certified(ours, ours, soon), certified(others, ours, soon), certified(ours, ours, past)
	anonymous, wrong, right := well, well, well
	anonymous.Cert, anonymous.Key = "", ""
	wrong.ServerName, right.ServerName = "etcd.example.com", "localhost"
	foreign := certified(ours, others, soon)
	for server, start := range kinds {
		s := start(t, etcdtest.WithTLS(ours))
		at := "etcd at " + s.Address() + " "
		ended := at + `ended the connection instead of an answer \(.+\), as it does when it refuses the client certificate; the one in ` + strangers.Cert + ` is CN=agent, issued by CN=test authority`
		for what, c := range map[string]struct {
			files status.TLS
			want  string
		}{
			"a certificate":                  {well, ""},
			"the name that it has":           {right, ""},
			"an authority that is not known": {foreign, at + `shows a certificate \(CN=etcd, issued by CN=test authority\) of an authority that is not in ` + others.CAFile() + `; put that authority's certificate into etcd.tls.ca`},
			"another name":                   {wrong, at + `shows a certificate \(CN=etcd\) for localhost, ` + strings.TrimSuffix(s.Address(), ":2379") + `, 127.0.0.1, and was asked for etcd.example.com; have that name put into it, or set etcd.tls.server_name to one that it has`},
			"no client certificate":          {anonymous, at + `wants a client certificate \(.+\); set etcd.tls.cert and etcd.tls.key`},
			"an expired certificate":         {expired, at + `refuses the client certificate in ` + expired.Cert + ` \(CN=agent\): it has expired, at ` + past.UTC().Format(time.RFC3339) + `; renew it`},
			"a stranger's certificate": {strangers, at + `refuses the client certificate in ` + strangers.Cert + ` \(CN=agent, issued by CN=test authority\): ` +
				`remote error: tls: (bad certificate|unknown certificate authority); have it issued, for clients, by an authority that etcd trusts \(its --trusted-ca-file\)|` + ended},
		} {
			t.Run(server+"/"+what, func(t *testing.T) {
				t.Parallel()
				holds(t, s, c.files, c.want)
			})
		}
	}
}

// holds lists with the files, and compares the error.
func holds(t *testing.T, s *etcdtest.Server, files status.TLS, want string) {
	t.Helper()
	timeout := time.Second
	if want == "" {
		timeout = unhurried
	}
	store := newStore(t, status.Config{Endpoints: []string{s.Endpoint()}, Prefix: "/eru", TLS: &files, Timeout: timeout})
	_, err := store.List(context.Background())
	if want == "" {
		if err != nil {
			t.Error(err)
		}
		return
	}
	whole := regexp.MustCompile(`^reading "/eru/status" from etcd at \["` + regexp.QuoteMeta(s.Endpoint()) + `"\]: (` + want + `)$`)
	if err == nil || !whole.MatchString(err.Error()) {
		t.Errorf("got  %v\nwant %v", err, want)
	}
}

// TestServerExpired holds what is told of a server whose certificate, or whose
// authority, is of yesterday, and of one that speaks no TLS.
func TestServerExpired(t *testing.T) {
	past := time.Now().Add(-time.Minute)
	for server, start := range kinds {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			ours := etcdtest.NewAuthority(t)
			s := start(t, etcdtest.WithTLS(ours))
			s.Renew(past)
			holds(t, s, certified(ours, ours, time.Now().Add(time.Hour)),
				"etcd at "+s.Address()+` shows a certificate \(CN=etcd\) that has expired, at `+past.UTC().Format(time.RFC3339)+"; renew it there")
			plain := start(t)
			store := newStore(t, status.Config{Endpoints: []string{"https://" + plain.Address()}, Prefix: "/eru", TLS: &status.TLS{}, Timeout: time.Second})
			if _, err := store.List(t.Context()); err == nil || !strings.Contains(err.Error(), "etcd at "+plain.Address()+" does not answer in TLS") {
				t.Errorf("of a server without TLS: %v", err)
			}
		})
	}
}

// TestRotation replaces every certificate under a Store that goes on.
func TestRotation(t *testing.T) {
	for server, start := range kinds {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			old, next := etcdtest.NewAuthority(t), etcdtest.NewAuthority(t)
			files := certified(old, old, time.Now().Add(time.Hour))
			s := start(t, etcdtest.WithTLS(old))
			store := newStore(t, status.Config{Endpoints: []string{s.Endpoint()}, Prefix: "/eru", TLS: &files, Timeout: unhurried})
			list := func(when string) {
				t.Helper()
				if _, err := store.List(t.Context()); err != nil {
					t.Errorf("%s: %v", when, err)
				}
			}
			list("before")
			replace(t, files.CA, old.CAFile(), next.CAFile())
			cert, key := next.Issue("agent", time.Now().Add(time.Hour))
			replace(t, files.Cert, cert)
			replace(t, files.Key, key)
			list("on the connection that stands")
			s.Secure(next)
			s.Restart()
			list("with both authorities")
			replace(t, files.CA, next.CAFile())
			s.Restart()
			list("with the new authority")
			replace(t, files.CA)
			s.Restart()
			broken := newStore(t, status.Config{Endpoints: []string{s.Endpoint()}, Prefix: "/eru", TLS: &files, Timeout: time.Second})
			if _, err := broken.List(t.Context()); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("reading etcd.tls.ca: %q holds no certificate in PEM", files.CA)) {
				t.Errorf("of a file that holds nothing: %v", err)
			}
			replace(t, files.CA, next.CAFile())
			list("after the file was mended")
		})
	}
}

// replace makes a file hold what others do.
func replace(t *testing.T, file string, with ...string) {
	t.Helper()
	var all []byte
	var errs []error
	for _, one := range with {
		text, err := os.ReadFile(one)
		all, errs = append(all, text...), append(errs, err)
	}
	if err := errors.Join(append(errs, os.WriteFile(file+".new", all, 0o600), os.Rename(file+".new", file))...); err != nil {
		t.Fatal(err)
	}
}
