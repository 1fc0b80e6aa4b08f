package healthcheck_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"
)

// below is an authority whose certificate a has signed.
func (a *authority) below(t *testing.T, name string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert: cert, key: key}
}

// What a server shows between its certificate and a root is found in any order, three of them at most.
func TestTLSThroughIntermediates(t *testing.T) {
	one := testCA.below(t, "one")
	two := one.below(t, "two")
	three := two.below(t, "three")
	four := three.below(t, "four")
	for name, tt := range map[string]struct {
		by     *authority
		shown  []*authority
		reason string
	}{
		"three":        {three, []*authority{three, two, one}, ""},
		"out of order": {three, []*authority{otherCA, one, three, two}, ""},
		"four":         {four, []*authority{four, three, two, one}, "tls"},
		"one is lost":  {three, []*authority{three, one}, "tls"},
	} {
		cfg := tt.by.server(t, "127.0.0.1", time.Hour)
		for _, a := range tt.shown {
			cfg.Certificates[0].Certificate = append(cfg.Certificates[0].Certificate, a.cert.Raw)
		}
		c := listen(t, "127.0.0.1", tlsWith(cfg))
		if v := ask(t, "http", c.addr, prompt, labels{"eru.health.http.scheme": "https"}); string(v.Reason) != tt.reason {
			t.Errorf("%s: %+v", name, v)
		}
	}
}
