package cmd

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"

	"github.com/prometheus/exporter-toolkit/web"
	"go.uber.org/zap"

	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/watcher"
)

// store makes the connection to etcd that the configuration asks for.
func (c *config) store(log *zap.Logger) (*status.Store, error) {
	cfg := status.Config{Endpoints: c.etcd.endpoints, Prefix: c.etcd.prefix, Username: c.etcd.username, Timeout: c.etcd.timeout}
	if c.etcd.passwordFile != "" {
		password, err := os.ReadFile(c.etcd.passwordFile)
		if err != nil {
			return nil, &fileError{"etcd.password_file", err}
		}
		cfg.Password = strings.TrimRight(string(password), "\r\n")
	}
	secure := c.etcd.tls.set()
	for _, endpoint := range c.etcd.endpoints {
		secure = secure || strings.HasPrefix(endpoint, "https://")
	}
	if secure {
		t, err := c.etcd.tls.config()
		if err != nil {
			return nil, err
		}
		cfg.TLS = t
	}
	return status.NewStore(cfg, log.Named("etcd")), nil
}

// config reads the files. The client certificate is read again for each
// handshake, so that a replaced one is taken without a restart.
func (t tlsFiles) config() (*tls.Config, error) {
	cfg := &tls.Config{ServerName: t.serverName, MinVersion: tls.VersionTLS12}
	if t.ca != "" {
		pem, err := os.ReadFile(t.ca)
		if err != nil {
			return nil, &fileError{"etcd.tls.ca", err}
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, &fileError{"etcd.tls.ca", fmt.Errorf("%q holds no certificate in PEM", t.ca)}
		}
	}
	if t.cert == "" {
		return cfg, nil
	}
	if _, err := tls.LoadX509KeyPair(t.cert, t.key); err != nil {
		return nil, &fileError{"etcd.tls.cert", fmt.Errorf("reading it and etcd.tls.key: %w", err)}
	}
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(t.cert, t.key)
		return &pair, err
	}
	return cfg, nil
}

func (c *config) watcher() watcher.Config {
	return watcher.Config{Endpoint: c.docker.endpoint, TLS: c.docker.tls, Select: c.docker.selected}
}

// checkFiles reads the files that the configuration names, as run would.
func (c *config) checkFiles() error {
	store, err := c.store(zap.NewNop())
	if err != nil {
		return err
	}
	_ = store.Close()
	if err := web.Validate(c.api.webConfig); err != nil {
		return &fileError{"api.web_config", err}
	}
	return nil
}
