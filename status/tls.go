package status

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// TLS names PEM files. They are read again for each connection, so that what
// was replaced is taken without a restart, and connections that stand go on.
type TLS struct {
	CA         string // authorities of etcd's certificate; "" for the system's
	Cert, Key  string // the client certificate; "" for none
	ServerName string // that etcd's certificate bears, if not the endpoint's host
}

// Authorities reads CA; nil stands for the system's.
func (t TLS) Authorities() (*x509.CertPool, error) {
	if t.CA == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(t.CA)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%q holds no certificate in PEM", t.CA)
	}
	return pool, nil
}

// Certificate reads Cert and Key; without them it is empty, and so shown.
func (t TLS) Certificate() (*tls.Certificate, error) {
	if t.Cert == "" {
		return &tls.Certificate{}, nil
	}
	pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return nil, err
	}
	return &pair, nil
}
