// Package cmd is the command line. It owns flags, the config file and the
// wiring of the other packages into an agent; nothing but a main package
// imports it. Who needs another kind of probe writes a main of his own that
// passes it to Main.
package cmd

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/projecteru2/eru-agent/cmd/cli"
	"github.com/projecteru2/eru-agent/healthcheck"
)

// Main runs one command and returns its exit code: 0 well, 1 the answer is no,
// 2 usage or configuration. ctx, SIGINT and SIGTERM end it. probers are kinds of
// probe beside HTTP and TCP.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer, probers ...healthcheck.Prober) int {
	return cli.Main(ctx, NewRoot(probers...), args, stdout, stderr)
}

// NewRoot returns the whole command tree.
func NewRoot(probers ...healthcheck.Prober) *cobra.Command {
	return cli.Tree(&cobra.Command{
		Use:   "eru-agent",
		Short: "Watches the containers of a Docker node and says in etcd which of them can serve",
		Long: `eru-agent watches the containers of a Docker node, probes each over HTTP or TCP
as its labels ask, and writes into etcd which of them can serve. Proxies read it
there and switch traffic.

Exit codes: 0 well, 1 the answer is no, 2 wrong usage or configuration.`,
	}, newRun(probers), newCheckConfig(), newReload(), newStatus(), newNode(), newProbe(probers), newExplain(), newDrain(), newUndrain(), cli.NewVersion("eru-agent"))
}
