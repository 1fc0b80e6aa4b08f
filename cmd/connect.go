package cmd

import (
	"github.com/prometheus/exporter-toolkit/web"

	"github.com/projecteru2/eru-agent/cmd/settings"
	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/watcher"
)

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
