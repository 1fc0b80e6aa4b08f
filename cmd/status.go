package cmd

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/projecteru2/eru-agent/cmd/cli"
	"github.com/projecteru2/eru-agent/status"
)

// statusOptions are what the status command was asked for.
type statusOptions struct {
	app, node, state, output string
	watch                    bool

	etcd string // where it is asked
}

func newStatus() *cobra.Command {
	l := newLoader()
	var o statusOptions
	c := &cobra.Command{
		Use: "status", Short: "Show what etcd says of all containers",
		Long: `Show what etcd says of all containers of all nodes. With --watch the table is live,
and ? shows its keys; where the output is no terminal, it is one line for each change.
With -o json it is one JSON object, or with --watch one for each change. Below the
table, and in the object, stand the drains that operators wish.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if o.output != "table" && o.output != "json" {
				return cli.Usage(fmt.Errorf("--output: got %q, want table or json", o.output))
			}
			if o.state != "" && !slices.Contains(allStates(), status.State(o.state)) {
				return cli.Usage(fmt.Errorf("--state: got %q, want one of %q", o.state, allStates()))
			}
			return l.onStore(func(store *status.Store) error {
				o.etcd = l.cfg.etcd.At()
				return o.run(c.Context(), store, c.InOrStdin(), c.OutOrStdout(), c.ErrOrStderr())
			})
		},
	}
	c.Flags().StringVar(&o.app, "app", "", "only this `app`")
	c.Flags().StringVar(&o.node, "node", "", "only this `node`")
	c.Flags().StringVar(&o.state, "state", "", "only containers in this `state`")
	c.Flags().BoolVarP(&o.watch, "watch", "w", false, "go on showing changes")
	c.Flags().StringVarP(&o.output, "output", "o", "table", "table or json")
	l.AddTo(c.Flags(), "etcd.")
	return c
}

func (o statusOptions) run(ctx context.Context, store *status.Store, in io.Reader, out, errs io.Writer) error {
	if !o.watch {
		view, err := store.List(ctx)
		if err != nil {
			return err
		}
		drains, err := store.Drains(ctx)
		if err != nil { // a role may cover the statuses alone
			_, _ = fmt.Fprintln(errs, "drains are not shown:", err)
		}
		if o.output == "json" && len(view.Containers) == 0 {
			_, _ = fmt.Fprint(errs, o.nothing(view))
		}
		return o.print(out, view, drains)
	}
	if o.output == "table" && canDraw(out) {
		return watchLive(ctx, store, o, in, out)
	}
	lines := o.lines()
	return store.Follow(ctx, func(c status.Change) { lines.print(out, errs, c) })
}

// wants says whether a container is meant, whatever its state.
func (o statusOptions) wants(k status.Key) bool {
	return (o.app == "" || o.app == k.App) && (o.node == "" || o.node == k.Node)
}

func (o statusOptions) inState(s status.State) bool {
	return o.state == "" || o.state == string(s)
}

// entries are those that are wanted, in the order of the table.
func (o statusOptions) entries(v status.Tree) []status.Entry {
	list := slices.DeleteFunc(slices.Collect(maps.Values(v.Containers)), func(e status.Entry) bool { return !o.wants(e.Key) || !o.inState(e.Status.State) })
	slices.SortFunc(list, func(a, b status.Entry) int { return strings.Compare(tableOrder(a), tableOrder(b)) })
	return list
}

// tableOrder is by what a container is sorted.
func tableOrder(e status.Entry) string {
	return strings.Join([]string{e.Key.App, e.Key.Entrypoint, e.Key.Node, e.Status.Name, e.Key.ID}, "\x00")
}

func (o statusOptions) print(out io.Writer, v status.Tree, d status.Drains) error {
	text := o.table(v, painter(out), time.Now()) + o.drainTable(v, d, painter(out), time.Now())
	if o.output == "json" {
		var err error
		if text, err = document(o.document(v, d)); err != nil {
			return err
		}
	}
	_, err := io.WriteString(out, text)
	return err
}

// record is one container in JSON.
type record struct {
	App        string        `json:"app"`
	Entrypoint string        `json:"entrypoint"`
	Node       string        `json:"node"`
	Revision   int64         `json:"revision"`
	Status     status.Status `json:"status"`
}

func newRecord(e status.Entry) record {
	return record{App: e.Key.App, Entrypoint: e.Key.Entrypoint, Node: e.Key.Node, Revision: e.Revision, Status: e.Status}
}

func (o statusOptions) document(v status.Tree, d status.Drains) any {
	doc := struct {
		Containers []record               `json:"containers"`
		Nodes      map[string]status.Node `json:"nodes"`
		Drains     []drainRecord          `json:"drains"`
	}{Containers: []record{}, Nodes: v.Nodes, Drains: o.drainRecords(v, d)}
	for _, e := range o.entries(v) {
		doc.Containers = append(doc.Containers, newRecord(e))
	}
	return doc
}

func (o statusOptions) table(v status.Tree, p paint, now time.Time) string {
	rows := [][]cell{{{"STATE", bold}, {"APP", bold}, {"ENTRYPOINT", bold}, {"NODE", bold}, {"CONTAINER", bold}, {"ENDPOINTS", bold}, {"FOR", bold}, {"WHY", bold}}}
	for _, e := range o.entries(v) {
		s := e.Status
		node := cell{text: e.Key.Node}
		if n, ok := v.Nodes[e.Key.Node]; !ok {
			node = cell{e.Key.Node + " (silent)", yellow}
		} else if n.Agent.State == status.NodeStopping {
			node = cell{e.Key.Node + " (stopping)", yellow}
		}
		rows = append(rows, []cell{
			{string(s.State), stateColour(s.State)}, {text: e.Key.App}, {text: e.Key.Entrypoint}, node,
			{text: s.Name + " " + e.Key.ID[:min(len(e.Key.ID), 12)]}, {text: endpoints(s)}, {text: age(now.Sub(s.Since))}, {why(s), grey},
		})
	}
	var b strings.Builder
	if len(rows) == 1 {
		return o.nothing(v)
	}
	writeTable(&b, p, rows)
	return b.String()
}

// nothing says where no container was found.
func (o statusOptions) nothing(v status.Tree) string {
	if len(v.Containers) > 0 {
		return "none of the containers in etcd at " + o.etcd + " is what --app, --node and --state ask for\n"
	}
	return "no containers in etcd at " + o.etcd + "; is it the agents' etcd and prefix, is an agent running, and has a container a label that begins with eru.health.?\n"
}

func endpoints(s status.Status) string {
	words := make([]string, 0, len(s.Endpoints))
	for _, port := range slices.Sorted(maps.Keys(s.Endpoints)) {
		words = append(words, port+"→"+s.Endpoints[port])
	}
	if len(words) == 0 {
		return "-"
	}
	return strings.Join(words, " ")
}

func why(s status.Status) string {
	return strings.TrimSpace(s.Reason + " " + s.Detail)
}

// age is a duration as a person says it: two units at most.
func age(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
	default:
		return fmt.Sprintf("%dd%dh", int(d.Hours())/24, int(d.Hours())%24)
	}
}
