package cmd

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/projecteru2/eru-agent/cmd/cli"
	"github.com/projecteru2/eru-agent/cmd/diagnosis"
)

func newExplain() *cobra.Command {
	l := newLoader()
	output := "text"
	c := &cobra.Command{
		Use: "explain CONTAINER", Short: "Say why a container gets traffic, or why not, and what to do next",
		Long: `Say all that is known of one container of this node, by its name, its ID or a unique
beginning of that: which labels were read and what they mean, which address was
chosen and why, how its last probes went, what was published when and at which
revision of etcd, what a proxy makes of it, and the one thing to do next.

It asks the agent at api.addr, Docker and etcd; of one that cannot be asked it says
so, and tells what the others know. Nothing is written anywhere.

Exit code 0 if the container is healthy and gets traffic, 1 if anything is the matter.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] == "" {
				return fmt.Errorf("got %d arguments, want the name or ID of one container", len(args))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if output != "text" && output != "json" {
				return cli.Usage(fmt.Errorf("--output: got %q, want text or json", output))
			}
			cfg, err := l.load(os.Environ())
			if err != nil {
				return err
			}
			return explain(c, cfg, args[0], output)
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	l.AddTo(c.Flags(), "node", "docker.", "etcd.", "api.addr", "selfmon.enabled")
	return c
}

func explain(c *cobra.Command, cfg *config, word, output string) error {
	e := gather(c.Context(), cfg, word)
	advice := diagnosis.Of(e)
	text := explanation(e, advice, painter(c.OutOrStdout()))
	if output == "json" {
		var err error
		text, err = document(struct {
			diagnosis.Evidence
			Advice diagnosis.Advice `json:"advice"`
		}{e, advice})
		if err != nil {
			return err
		}
	}
	if _, err := fmt.Fprint(c.OutOrStdout(), text); err != nil {
		return err
	}
	if !advice.Well {
		return cli.ErrNo
	}
	return nil
}

// gather asks every side for what it knows.
func gather(ctx context.Context, cfg *config, word string) diagnosis.Evidence {
	ctx, cancel := context.WithTimeout(ctx, explainWithin)
	defer cancel()
	e := diagnosis.Evidence{Word: word, Selected: cfg.docker.selected, Alone: !cfg.self.enabled, EtcdAt: cfg.etcd.At()}
	askAgent(ctx, cfg, &e)
	askDocker(ctx, cfg, &e)
	askEtcd(ctx, cfg, &e)
	return e
}
