package healthcheck

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"testing/synctest"
	"time"
)

// issue makes a certificate that says it is subject's and issuer's; who signed it does not matter here.
func issue(t *testing.T, serial int64, subject, issuer string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := func(name string) *x509.Certificate {
		return &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true}
	}
	der, err := x509.CreateCertificate(rand.Reader, template(subject), template(issuer), key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// A server that shows many certificates makes the agent look at few of them.
func TestPathsAreBounded(t *testing.T) {
	leaf := issue(t, 1, "leaf", "a")
	same := []*x509.Certificate{leaf}
	for i := range 100 {
		same = append(same, issue(t, int64(i+2), "a", "a"))
	}
	ring := []*x509.Certificate{leaf}
	for i, names := range []string{"zz", "cd", "bc", "ab", "da"} { // out of order, with one that leads nowhere
		ring = append(ring, issue(t, int64(i+2), names[:1], names[1:]))
	}
	for name, tt := range map[string]struct{ shown, want []*x509.Certificate }{
		"all of one name": {same, same[1:4]},
		"round and round": {ring, []*x509.Certificate{ring[4], ring[3], ring[2]}},
		"nothing more":    {ring[:1], nil},
	} {
		want := x509.NewCertPool()
		for _, cert := range tt.want {
			want.AddCert(cert)
		}
		if !path(tt.shown).Equal(want) {
			t.Errorf("%s: other certificates are considered", name)
		}
	}
}

// A verification that waits for the agent says nothing of the container.
func TestVerificationTakesTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &verification{turn: make(chan struct{}, 1)}
		c.turn <- struct{}{} // something else is looked at
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if v := handshakeFailure(c.verify(ctx, nil)); v.Reason != ReasonAgent || c.took != 2*time.Second {
			t.Errorf("%+v after %s", v, c.took)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	for took, want := range map[time.Duration]Reason{0: ReasonTimeout, 200 * time.Millisecond: ReasonTimeout, 300 * time.Millisecond: ReasonAgent} {
		c := &verification{took: took}
		if v := c.excuse(ctx, time.Now(), Fail(ReasonTimeout, "slow")); v.Reason != want {
			t.Errorf("after %s of the agent's own: %+v", took, v)
		}
		if v := c.excuse(ctx, time.Now(), Fail(ReasonHTTPCode, "500")); v.Reason != ReasonHTTPCode {
			t.Errorf("%+v", v)
		}
	}
}
