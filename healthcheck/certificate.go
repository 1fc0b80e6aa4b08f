package healthcheck

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"time"
)

// maxPath bounds the certificates that are considered between a server's own
// and a root. Go checks up to 100 signatures to find a way through what a server
// shows, which with P-521 takes 365 ms of CPU; with three it is 15, and 55 ms.
const maxPath = 3

var errNoTurn = errors.New("waiting to verify the certificate: too much else is verified or matched")

// verification verifies the certificate of one connection. It takes turns with
// matches of bodies: whatever containers show, all of that together never
// costs the node more than one CPU.
type verification struct {
	name string
	turn chan struct{} // holds one; see httpProber
	took time.Duration // to get a turn and to verify: the agent's time, not the container's
}

// config is cfg with this verification in place of Go's own.
func (c *verification) config(ctx context.Context, cfg *tls.Config) *tls.Config {
	cfg = cfg.Clone()
	cfg.ServerName = c.name
	if !cfg.InsecureSkipVerify {
		cfg.InsecureSkipVerify = true // crypto/tls then leaves it to VerifyConnection
		cfg.VerifyConnection = func(state tls.ConnectionState) error { return c.verify(ctx, state.PeerCertificates) }
	}
	return cfg
}

// verify does what crypto/tls does for a client, its error included.
func (c *verification) verify(ctx context.Context, shown []*x509.Certificate) error {
	start := time.Now()
	defer func() { c.took = time.Since(start) }()
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return errNoTurn
	}
	defer func() { <-c.turn }()
	if _, err := shown[0].Verify(x509.VerifyOptions{DNSName: c.name, Intermediates: path(shown)}); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: shown, Err: err}
	}
	return nil
}

// path takes the first certificates that may lead from the server's own to a
// root, by the names of their issuers.
func path(shown []*x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	taken := map[*x509.Certificate]bool{}
	wanted := [][]byte{shown[0].RawIssuer}
	for ; len(wanted) > 0; wanted = wanted[1:] {
		for _, cert := range shown[1:] {
			if len(taken) < maxPath && !taken[cert] && bytes.Equal(cert.RawSubject, wanted[0]) {
				taken[cert] = true
				pool.AddCert(cert)
				wanted = append(wanted, cert.RawIssuer)
			}
		}
	}
	return pool
}

// excuse makes no evidence against the container of a time-out for which the
// agent has taken more than it may of the time.
func (c *verification) excuse(ctx context.Context, start time.Time, v Verdict) Verdict {
	deadline, ok := ctx.Deadline()
	if ok && v.Reason == ReasonTimeout && c.took > tolerance(deadline.Sub(start)) {
		return v.fail(Fail(ReasonAgent, "%s, after the certificate was verified too late", v.Detail))
	}
	return v
}
