// Package balancer is the command line of eru-lb. It owns its keys and the
// wiring of views, a loop and an outlet; nothing but a main package imports it.
package balancer

import (
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/projecteru2/eru-agent/cmd/cli"
	"github.com/projecteru2/eru-agent/cmd/settings"
)

// Main runs one command and returns its exit code: 0 well, 1 the work failed,
// 2 usage or configuration. ctx, SIGINT and SIGTERM end it.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return cli.Main(ctx, NewRoot(), args, stdout, stderr)
}

// NewRoot returns the whole command tree.
func NewRoot() *cobra.Command {
	return cli.Tree(&cobra.Command{
		Use:   "eru-lb",
		Short: "Follows in etcd which containers can serve, and brings a proxy to it",
		Long: `eru-lb follows in etcd which containers of a service can serve, as eru-agent says
on their nodes, and brings a proxy to it within milliseconds. Whatever happens to
etcd, the agents or eru-lb itself, no healthy server leaves the proxy for it.

Exit codes: 0 well, 1 the work failed, 2 wrong usage or configuration.`,
	}, newHAProxy(), newXDS(), newCheckConfig(), cli.NewVersion("eru-lb"))
}

// loader loads one configuration.
type loader struct {
	*settings.Loader

	cfg *config
}

func newLoader() *loader {
	c := &config{}
	return &loader{settings.NewLoader(settings.Program{Name: "eru-lb", File: "/etc/eru/lb.yaml"}, c, c.flags(), rules()), c}
}

// proxy is a kind of proxy that a command brings to what etcd says.
type proxy struct {
	kind string // "haproxy": the command's name, and the first part of its keys
	// make makes its outlet, once the daemon has its log and its registry.
	make func(d *daemon) (outlet, error)
}

// newFollow returns the command of one kind of proxy.
func newFollow(p proxy, short, long string) *cobra.Command {
	l := newLoader()
	c := &cobra.Command{
		Use: p.kind, Short: short,
		Long: long + `

Every flag but --config is also a key of the file and a variable of the
environment: --etcd.endpoints, etcd: {endpoints: ...} and ERU_LB_ETCD_ENDPOINTS
are one. A flag goes over the environment, the environment over the file.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := l.Load(os.Environ()); err != nil {
				return err
			}
			return l.Placed(follow(c.Context(), l.cfg, p))
		},
	}
	l.AddTo(c.Flags(), general(l.Schema(), p.kind)...)
	return c
}

// general are the keys of every kind of proxy, and those of one.
func general(schema *pflag.FlagSet, kind string) []string {
	var keys []string
	schema.VisitAll(func(f *pflag.Flag) {
		if !proxyKey(f.Name) || hasPart(f.Name, kind) {
			keys = append(keys, f.Name)
		}
	})
	return keys
}

func newCheckConfig() *cobra.Command {
	l := newLoader()
	return l.NewCheckConfig(l.cfg.check)
}

// WriteExample writes a configuration file with every key at its default, made
// from the schema itself.
func WriteExample(w io.Writer) error {
	return newLoader().WriteExample(w, `# The configuration of eru-lb, with every key at its default; all but services may
# be left out. Each key is also a flag of "eru-lb haproxy" or "eru-lb xds", and a
# variable of the environment: etcd.prefix is --etcd.prefix and ERU_LB_ETCD_PREFIX.
# Check a file with "eru-lb check-config FILE".
`, map[string]string{"services": "[shop/web, shop/api:8080=api]"})
}
