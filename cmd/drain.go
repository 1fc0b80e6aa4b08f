package cmd

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"time"

	"github.com/spf13/cobra"

	"github.com/projecteru2/eru-agent/cmd/cli"
	"github.com/projecteru2/eru-agent/status"
)

// drainOptions are what the drain command was asked for.
type drainOptions struct {
	node    string
	lasts   time.Duration
	reason  string
	wait    bool
	timeout time.Duration
}

func newDrain() *cobra.Command {
	l := newLoader()
	var o drainOptions
	c := &cobra.Command{
		Use: "drain CONTAINER | drain --node NODE", Short: "Take a container, or a whole node, out of its services",
		Long: `Take a running container, or all of a node, out of its services: its agent says
"draining", and proxies send it nothing new. It runs and is probed on. CONTAINER is
a name, an ID, or a unique beginning of an ID, as "eru-agent status" shows them.
Only etcd is needed where this is typed.

The wish stands in etcd: it survives restarts of the agent and of containers, and
ends by itself after --for, or earlier by "eru-agent undrain". Then the container is
at once what its probes say. Wishing again replaces the wish that stands.

With --wait the command returns when etcd says of each container that it drains, or
no longer runs, and each proxy that says who it is (eru-lb does) and follows its
service has applied that. On standard error it says whom it waits for. It fails when
--timeout is over or the drain has ended. After --timeout and Ctrl-C the wish stands.`,
		Args: oneContainerOrNode(&o.node),
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.check(); err != nil {
				return err
			}
			return l.onStore(func(store *status.Store) error { return o.run(c, store, args) })
		},
	}
	c.Flags().StringVar(&o.node, "node", "", "all containers of this `node`, those to come included")
	c.Flags().DurationVar(&o.lasts, "for", 10*time.Minute, "how long; 0 until it is taken back")
	c.Flags().StringVar(&o.reason, "reason", "", "`text` that stands beside it")
	c.Flags().BoolVar(&o.wait, "wait", false, "return when proxies have applied it")
	c.Flags().DurationVar(&o.timeout, "timeout", 0, "how long to wait; 0 as long as --for")
	l.AddTo(c.Flags(), "etcd.")
	return c
}

func newUndrain() *cobra.Command {
	l := newLoader()
	var node string
	c := &cobra.Command{
		Use: "undrain CONTAINER | undrain --node NODE", Short: "Take a drain back",
		Long: `Take back what "eru-agent drain" has wished: the container is at once what its
probes say, as far as no other drain covers it. It fails if there is none.`,
		Args: oneContainerOrNode(&node),
		RunE: func(c *cobra.Command, args []string) error {
			return l.onStore(func(store *status.Store) error { return undrain(c, store, node, args) })
		},
	}
	c.Flags().StringVar(&node, "node", "", "the drain of this whole `node`")
	l.AddTo(c.Flags(), "etcd.")
	return c
}

func oneContainerOrNode(node *string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if (len(args) == 1 && args[0] != "") != (*node != "") && len(args) < 2 {
			return nil
		}
		return errors.New("want one container, or --node and a node")
	}
}

func (o drainOptions) check() error {
	switch {
	case o.lasts != 0 && (o.lasts < status.MinDrain || o.lasts > status.MaxDrain):
		return cli.Usage(fmt.Errorf("--for: got %s, want %s to %s, or 0 for until it is taken back", o.lasts, status.MinDrain, status.MaxDrain))
	case len(o.reason) > status.MaxDrainText:
		return cli.Usage(fmt.Errorf("--reason: got %d bytes, want at most %d", len(o.reason), status.MaxDrainText))
	case o.timeout < 0:
		return cli.Usage(fmt.Errorf("--timeout: got %s, want a duration, as 1m", o.timeout))
	case o.timeout > 0 && !o.wait:
		return cli.Usage(errors.New("--timeout: only with --wait"))
	}
	return nil
}

func (o drainOptions) run(c *cobra.Command, store *status.Store, args []string) error {
	tree, err := store.List(c.Context())
	if err != nil {
		return err
	}
	t, err := findTarget(tree, status.Drains{}, o.node, args)
	if err != nil {
		return err
	}
	d := status.Drain{By: operator(), Reason: o.reason}
	if o.lasts > 0 {
		d.Until = time.Now().Add(o.lasts)
	}
	if err := store.PutDrain(c.Context(), t.key, d, o.lasts); err != nil {
		return fmt.Errorf("%w; it may have been taken all the same", err)
	}
	_, _ = fmt.Fprintf(c.OutOrStdout(), "%s is drained %s; to take it back: eru-agent undrain %s\n", t, ending(d), t.argument())
	if o.wait {
		return o.await(c.Context(), store, t, c.OutOrStdout(), c.ErrOrStderr())
	}
	if _, ok := tree.Nodes[t.key.Node]; !ok {
		_, _ = fmt.Fprintf(c.ErrOrStderr(), "the agent of node %s is silent, and does so when it is back\n", t.key.Node)
	}
	return nil
}

func findTarget(tree status.Tree, drains status.Drains, node string, args []string) (target, error) {
	if node != "" {
		return findNode(tree, drains, node)
	}
	return findContainer(containers(tree, drains), args[0])
}

// ending says when d ends.
func ending(d status.Drain) string {
	if d.Until.IsZero() {
		return "until it is taken back"
	}
	return "until " + d.Until.Local().Format(time.RFC3339)
}

// operator is who types, and where.
func operator() string {
	name := os.Getenv("SUDO_USER")
	if u, err := user.Current(); err == nil && name == "" {
		name = u.Username
	}
	host, _ := os.Hostname()
	return cmp.Or(name, "somebody") + "@" + host
}

func undrain(c *cobra.Command, store *status.Store, node string, args []string) error {
	tree, err := store.List(c.Context())
	if err != nil {
		return err
	}
	drains, err := store.Drains(c.Context())
	if err != nil {
		return err
	}
	t, err := findTarget(tree, drains, node, args)
	if err != nil {
		return err
	}
	was, err := store.DeleteDrain(c.Context(), t.key)
	if err != nil {
		return err
	}
	return takenBack(c.OutOrStdout(), t, was, drains)
}

// takenBack says what has become of t, which was drained itself or not.
func takenBack(out io.Writer, t target, was bool, drains status.Drains) error {
	of, whole := drains.Wishes[status.DrainKey{Node: t.key.Node, ID: status.WholeNode}]
	still := ""
	if whole && t.key.ID != status.WholeNode {
		still = fmt.Sprintf("; its node is drained by %s %s: eru-agent undrain --node %s takes that back", of.By, ending(of), t.key.Node)
	}
	if !was {
		return fmt.Errorf("%s is not drained itself%s", t, still)
	}
	_, err := fmt.Fprintf(out, "the drain of %s is taken back%s\n", t, still)
	return err
}
