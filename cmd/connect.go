package cmd

import (
	"fmt"
	"os"
	"strings"

	"github.com/prometheus/exporter-toolkit/web"
	"go.uber.org/zap"

	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/watcher"
)

// store makes the connection to etcd that the configuration asks for. Its files
// are read by the connection, time and again.
func (c *config) store(log *zap.Logger) (*status.Store, error) {
	if err := c.checkSecrets(); err != nil {
		return nil, err
	}
	cfg := status.Config{Endpoints: c.etcd.endpoints, Prefix: c.etcd.prefix, Username: c.etcd.username, PasswordFile: c.etcd.passwordFile, Timeout: c.etcd.timeout}
	secure := c.etcd.tls != status.TLS{}
	for _, endpoint := range c.etcd.endpoints {
		secure = secure || strings.HasPrefix(endpoint, "https://")
	}
	if secure {
		cfg.TLS = &c.etcd.tls
	}
	return status.NewStore(cfg, log.Named("etcd")), nil
}

// checkSecrets reads the files once, so that a wrong one is found at once.
func (c *config) checkSecrets() error {
	if c.etcd.passwordFile != "" {
		if _, err := os.ReadFile(c.etcd.passwordFile); err != nil {
			return &fileError{"etcd.password_file", err}
		}
	}
	if _, err := c.etcd.tls.Authorities(); err != nil {
		return &fileError{"etcd.tls.ca", err}
	}
	if _, err := c.etcd.tls.Certificate(); err != nil {
		return &fileError{"etcd.tls.cert", fmt.Errorf("reading it and etcd.tls.key: %w", err)}
	}
	return nil
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
