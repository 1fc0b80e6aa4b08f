package etcdtest

import (
	"net"
	"os"
	"time"
)

// Renew replaces the certificate of a server of WithTLS by one that is good
// until then; etcd takes it at the next handshake.
func (s *Server) Renew(until time.Time) {
	s.t.Helper()
	cert, key := s.issue(until)
	for from, to := range map[string]string{cert: s.place.cert, key: s.place.key} {
		if err := os.Rename(from, to); err != nil {
			s.t.Fatal(err)
		}
	}
}

// Secure makes a server of WithTLS, at its next Restart, one with a certificate
// of a, which takes clients of a alone.
func (s *Server) Secure(a *Authority) {
	s.t.Helper()
	s.opts.authority = a
	s.place.cert, s.place.key = s.issue(time.Now().Add(time.Hour))
}

func (s *Server) issue(until time.Time) (string, string) {
	s.t.Helper()
	host, _, _ := net.SplitHostPort(s.place.client)
	return s.opts.authority.Issue("etcd", until, net.ParseIP(host))
}
