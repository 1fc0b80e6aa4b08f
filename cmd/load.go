package cmd

import (
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/projecteru2/eru-agent/cmd/settings"
)

// loader loads one configuration.
type loader struct {
	*settings.Loader

	cfg *config
}

func newLoader() *loader {
	c := &config{}
	l := &loader{settings.NewLoader(settings.Program{Name: "eru-agent", File: "/etc/eru/agent.yaml", Former: former()}, c, c.flags(), rules()), c}
	l.Fill = func() {
		if c.node == "" {
			c.node, _ = os.Hostname()
		}
	}
	return l
}

// load returns the configuration, or all that is wrong with it.
func (l *loader) load(env []string) (*config, error) {
	if err := l.Load(env); err != nil {
		return nil, err
	}
	return l.cfg, nil
}

func newCheckConfig() *cobra.Command {
	l := newLoader()
	return l.NewCheckConfig(l.cfg.checkFiles)
}

// WriteExample writes a configuration file with every key at its default, made
// from the schema itself.
func WriteExample(w io.Writer) error {
	return newLoader().WriteExample(w, `# The configuration of eru-agent, with every key at its default; all of it may be
# left out. Each key is also a flag of "eru-agent run" and a variable of the
# environment: etcd.prefix is --etcd.prefix and ERU_AGENT_ETCD_PREFIX.
# Check a file with "eru-agent check-config FILE".
`, nil)
}
