package xds

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"go.uber.org/zap"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// TLS names PEM files; without Cert and Key clients are served in plain text.
// They are read again for each connection, so that what was replaced is taken
// without a restart, and connections that stand go on.
type TLS struct {
	Cert, Key string
	ClientCA  string // authorities of clients' certificates; "" asks for none
}

// Certificate reads Cert and Key.
func (t TLS) Certificate() (tls.Certificate, error) {
	return tls.LoadX509KeyPair(t.Cert, t.Key)
}

// Authorities reads ClientCA; nil is for none.
func (t TLS) Authorities() (*x509.CertPool, error) {
	if t.ClientCA == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(t.ClientCA)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%q holds no certificate in PEM", t.ClientCA)
	}
	return pool, nil
}

// check says what is wrong with the files.
func (t TLS) check() error {
	if t == (TLS{}) {
		return nil
	}
	if t.Cert == "" || t.Key == "" {
		return errors.New("serving TLS: a certificate and its key go together, and before authorities of clients")
	}
	_, err := t.config()
	return err
}

// config reads the files.
func (t TLS) config() (*tls.Config, error) {
	pair, err := t.Certificate()
	if err != nil {
		return nil, fmt.Errorf("reading the certificate %q: %w", t.Cert, err)
	}
	pool, err := t.Authorities()
	if err != nil {
		return nil, fmt.Errorf("reading the clients' authorities: %w", err)
	}
	c := &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12}
	if pool != nil {
		c.ClientCAs, c.ClientAuth = pool, tls.RequireAndVerifyClientCert
	}
	return c, nil
}

// credentials serve what the files hold when a client connects.
func (t TLS) credentials(log *zap.Logger) credentials.TransportCredentials {
	if t.Cert == "" {
		return insecure.NewCredentials()
	}
	return credentials.NewTLS(&tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			c, err := t.config()
			if err != nil {
				log.Error("a client was turned away", zap.Error(err))
			}
			return c, err
		},
	})
}
