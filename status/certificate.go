package status

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"
	"time"
)

// refuse says why the certificate of etcd is not taken, and what to do; "" if
// that is not what err is about.
func (t TLS) refuse(server string, err error) string {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var name x509.HostnameError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &unknown):
		return fmt.Sprintf("etcd at %s shows a certificate (%s, issued by %s) of an authority that is not in %s; put that authority's certificate into etcd.tls.ca",
			server, subject(leaf(err)), leaf(err).Issuer, cmp.Or(t.CA, "the system's list"))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Sprintf("etcd at %s shows a certificate (%s) that %s; renew it there", server, subject(leaf(err)), outOfTime(invalid.Cert))
	case errors.As(err, &name):
		return fmt.Sprintf("etcd at %s shows a certificate (%s) for %s, and was asked for %s; have that name put into it, or set etcd.tls.server_name to one that it has",
			server, subject(name.Certificate), names(name.Certificate), name.Host)
	case errors.As(err, &record), errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET): // a server that closes on what it has not read resets
		return fmt.Sprintf("etcd at %s does not answer in TLS (%v); if it speaks none, its endpoint begins with http://", server, err)
	}
	return ""
}

// refused says why etcd does not take the certificate that it was shown.
func (t TLS) refused(server string, shown *tls.Certificate, why error) string {
	if t.Cert == "" {
		return fmt.Sprintf("etcd at %s wants a client certificate (%v); set etcd.tls.cert and etcd.tls.key", server, why)
	}
	head := fmt.Sprintf("etcd at %s refuses the client certificate in %s", server, t.Cert)
	if shown == nil || shown.Leaf == nil {
		return fmt.Sprintf("%s (%v)", head, why)
	}
	own := shown.Leaf
	if text := outOfTime(own); text != "" {
		return fmt.Sprintf("%s (%s): it %s; renew it", head, subject(own), text)
	}
	return fmt.Sprintf("%s (%s, issued by %s): %v; have it issued, for clients, by an authority that etcd trusts (its --trusted-ca-file)",
		head, subject(own), own.Issuer, why)
}

// abandoned is said when etcd has asked for a certificate and hung up before its
// first answer. Then it has refused, or it just ended.
func (t TLS) abandoned(server string, shown *tls.Certificate, err error) string {
	if t.Cert == "" || shown.Leaf == nil || outOfTime(shown.Leaf) != "" {
		return t.refused(server, shown, err)
	}
	return fmt.Sprintf("etcd at %s ended the connection instead of an answer (%v), as it does when it refuses the client certificate; the one in %s is %s, issued by %s",
		server, err, t.Cert, subject(shown.Leaf), shown.Leaf.Issuer)
}

// outOfTime says that a certificate is not of today; "" if it is.
func outOfTime(c *x509.Certificate) string {
	switch now := time.Now(); {
	case now.After(c.NotAfter) && c.IsCA:
		return fmt.Sprintf("is of an authority (%s) which has expired, at %s", subject(c), c.NotAfter.UTC().Format(time.RFC3339))
	case now.After(c.NotAfter):
		return "has expired, at " + c.NotAfter.UTC().Format(time.RFC3339)
	case now.Before(c.NotBefore):
		return "is not valid before " + c.NotBefore.UTC().Format(time.RFC3339) + " (is this machine's clock right?)"
	}
	return ""
}

// leaf is the certificate that the other side showed.
func leaf(err error) *x509.Certificate {
	var failed *tls.CertificateVerificationError
	if errors.As(err, &failed) && len(failed.UnverifiedCertificates) > 0 {
		return failed.UnverifiedCertificates[0]
	}
	return &x509.Certificate{}
}

// subject is what a certificate calls its bearer.
func subject(c *x509.Certificate) string {
	return cmp.Or(c.Subject.String(), "serial number "+c.SerialNumber.String())
}

// names are those for which a certificate is good.
func names(c *x509.Certificate) string {
	list := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		list = append(list, ip.String())
	}
	return cmp.Or(strings.Join(list, ", "), "no name at all")
}
