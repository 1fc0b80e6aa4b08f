// Command eru-agent-dev is for people who try or develop eru-agent: it starts an
// etcd of its own, runs the agent on this machine's containers, and shows what
// comes of it, in the end to requests through a HAProxy. It is no part of an installation.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/projecteru2/eru-agent/cmd"
	"github.com/projecteru2/eru-agent/cmd/balancer"
)

func main() {
	// The agent and eru-lb run as processes of their own, from this same binary.
	if len(os.Args) > 1 && os.Args[1] == "agent" {
		os.Exit(cmd.Main(context.Background(), os.Args[2:], os.Stdout, os.Stderr))
	}
	if len(os.Args) > 1 && os.Args[1] == "lb" {
		os.Exit(balancer.Main(context.Background(), os.Args[2:], os.Stdout, os.Stderr))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := newRoot().ExecuteContext(ctx); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "eru-agent-dev:", err)
		stop()
		os.Exit(1)
	}
}

func newRoot() *cobra.Command {
	var o options
	root := &cobra.Command{
		Use: "eru-agent-dev", Short: "Try eru-agent on this machine, with an etcd of its own",
		SilenceUsage: true, SilenceErrors: true,
	}
	root.PersistentFlags().StringVar(&o.dir, "dir", ".dev", "`directory` for etcd's data and the agent's log")
	root.PersistentFlags().StringVar(&o.etcd, "etcd", "127.0.0.1:12379", "`host:port` at which etcd listens")
	root.PersistentFlags().StringVar(&o.docker, "docker", dockerEndpoint(), "`address` of Docker")
	root.AddCommand(
		&cobra.Command{
			Use: "run", Short: "Run etcd and the agent, and show the live status table until Ctrl-C", Args: cobra.NoArgs,
			RunE: func(c *cobra.Command, _ []string) error { return run(c.Context(), o) },
		},
		newDemo(&o), newDocs(), newMan(), newImage(),
	)
	return root
}

func dockerEndpoint() string {
	if host := os.Getenv("DOCKER_HOST"); host != "" {
		return host
	}
	return "unix:///var/run/docker.sock"
}
