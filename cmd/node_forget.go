package cmd

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/projecteru2/eru-agent/cmd/cli"
	"github.com/projecteru2/eru-agent/status"
)

func newNodeForget() *cobra.Command {
	l := newLoader()
	c := &cobra.Command{
		Use: "forget NODE", Short: "Remove a node that is gone for good, with all its keys",
		Long: `Remove a node that is gone for good: the statuses of its containers, its owner
record, and what operators wished of it. One whose agent holds a session is refused:
stop that first. If an agent of that name comes back it begins anew.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("got %d arguments, want the name of one node", len(args))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if !status.ValidName(args[0]) {
				return cli.Usage(fmt.Errorf("NODE: got %q, want 1 to %d of [A-Za-z0-9._-]", args[0], status.MaxName))
			}
			return l.onStore(func(store *status.Store) error {
				n, err := store.Forget(c.Context(), args[0])
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(c.OutOrStdout(), "node %s is forgotten, and %s with it\n", args[0], plural(n, "container"))
				return err
			})
		},
	}
	l.AddTo(c.Flags(), "etcd.")
	return c
}
