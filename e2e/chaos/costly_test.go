package chaos

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"
)

// costly speaks TLS on every address, at the port that it returns, with a certificate beside which a hundred others stand
// that may have signed it.
func costly(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := &tls.Config{Certificates: []tls.Certificate{costlyChain(t)}, MinVersion: tls.VersionTLS13}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
				_, _ = tls.Server(conn, cfg).Read(make([]byte, 1))
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func costlyChain(t *testing.T) tls.Certificate {
	t.Helper()
	p521 := func() *ecdsa.PrivateKey {
		key, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	template := func(serial int64) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "any"}, DNSNames: []string{"shop.test"}, IsCA: true, BasicConstraintsValid: true,
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		}
	}
	sign := func(serial int64, public crypto.PublicKey, by crypto.Signer) []byte {
		der, err := x509.CreateCertificate(rand.Reader, template(serial), template(1), public, by)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	own, others, nobody := p521(), p521(), p521()
	chain := tls.Certificate{PrivateKey: own, Certificate: [][]byte{sign(2, own.Public(), nobody)}}
	for i := range 100 {
		chain.Certificate = append(chain.Certificate, sign(int64(i+3), others.Public(), others))
	}
	return chain
}
