package cmd

import (
	"os"

	"github.com/prometheus/exporter-toolkit/web"
	"go.uber.org/zap"

	"github.com/projecteru2/eru-agent/cmd/settings"
	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/watcher"
)

// onStore connects to the etcd of the configuration for one command.
func (l *loader) onStore(do func(*status.Store) error) error {
	cfg, err := l.load(os.Environ())
	if err != nil {
		return err
	}
	store, err := cfg.etcd.Store(zap.NewNop())
	if err != nil {
		return l.Placed(err)
	}
	defer func() { _ = store.Close() }()
	return do(store)
}

func (c *config) projected() []status.Projection {
	list := make([]status.Projection, len(c.projections))
	for i, p := range c.projections {
		list[i] = status.Projection(p)
	}
	return list
}

func (c *config) watcher() watcher.Config {
	return watcher.Config{Endpoint: c.docker.endpoint, TLS: c.docker.tls, Select: c.docker.selected}
}

// checkFiles reads the files that the configuration names, as run would.
func (c *config) checkFiles() error {
	if err := c.etcd.Check(); err != nil {
		return err
	}
	if err := web.Validate(c.api.webConfig); err != nil {
		return &settings.FileError{Key: "api.web_config", Err: err}
	}
	return nil
}
