package cmd

import (
	"fmt"
	"io"
	"maps"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/projecteru2/eru-agent/cmd/cli"
	"github.com/projecteru2/eru-agent/status"
)

func newNode() *cobra.Command {
	c := &cobra.Command{Use: "node", Short: "Show the nodes, or forget one that is gone for good"}
	c.AddCommand(newNodeList(), newNodeForget())
	return c
}

func newNodeList() *cobra.Command {
	l := newLoader()
	output := "table"
	c := &cobra.Command{
		Use: "list", Short: "Show every node: whether its agent is there, and what becomes of its containers if not",
		Long: `Show every node of which anything stands in etcd. AGENT is alive, stopping (it was
asked to stop), silent (its session has ended), or unwatched (it holds none, so nobody
can tell). FOR is how long it runs, or since when a silent one is missed. HOST is
whether that one's host answers others. SURROGATE is the node whose agent probes the containers of a silent one meanwhile.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if output != "table" && output != "json" {
				return cli.Usage(fmt.Errorf("--output: got %q, want table or json", output))
			}
			return l.onStore(func(store *status.Store) error { return listNodes(c, store, l.cfg.etcd.At(), output) })
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	l.AddTo(c.Flags(), "etcd.")
	return c
}

func listNodes(c *cobra.Command, store *status.Store, at, output string) error {
	r, err := store.Roster(c.Context())
	if err != nil {
		return err
	}
	doc, out := describeNodes(r), c.OutOrStdout()
	doc.etcd = at
	text := doc.table(painter(out), time.Now())
	if output == "json" {
		if len(doc.Nodes) == 0 {
			_, _ = fmt.Fprint(c.ErrOrStderr(), text)
		}
		if text, err = document(doc); err != nil {
			return err
		}
	}
	_, err = io.WriteString(out, text)
	return err
}

// nodeList is what node list shows.
type nodeList struct {
	Monitor *status.Monitor `json:"monitor"` // null: nobody is elected
	Nodes   []nodeEntry     `json:"nodes"`

	etcd string // where it was asked
}

// nodeEntry is one node in JSON.
type nodeEntry struct {
	Node       string               `json:"node"`
	Agent      string               `json:"agent"` // alive, stopping, silent, unwatched
	Since      time.Time            `json:"since,omitzero"`
	Host       string               `json:"host,omitempty"`      // of a silent one: answers, silent
	Surrogate  string               `json:"surrogate,omitempty"` // the node that probes for it
	Address    string               `json:"address,omitempty"`
	Machine    string               `json:"machine,omitempty"`
	Version    string               `json:"version,omitempty"`
	Containers map[status.State]int `json:"containers"`
}

func describeNodes(r status.Roster) nodeList {
	list := nodeList{Monitor: r.Monitor, Nodes: []nodeEntry{}}
	for _, n := range r.Nodes {
		list.Nodes = append(list.Nodes, newNodeEntry(n, r.Monitor))
	}
	return list
}

func newNodeEntry(n status.NodeState, monitor *status.Monitor) nodeEntry {
	e := nodeEntry{Node: n.Name, Agent: "silent", Address: n.Owner.Address, Machine: n.Owner.Machine, Version: n.Owner.Version, Containers: map[status.State]int{}}
	maps.Copy(e.Containers, n.Containers)
	switch {
	case n.Record != nil:
		e.Agent, e.Since, e.Machine, e.Version = "alive", n.Record.Agent.Started, n.Record.Agent.Machine, n.Record.Agent.Version
		if n.Record.Agent.State == status.NodeStopping {
			e.Agent = "stopping"
		}
	case n.Silence != nil:
		e.Since, e.Host = n.Silence.Since, n.Silence.Host
		if monitor != nil && !n.Silence.Judged.IsZero() {
			e.Surrogate = monitor.Node
		}
	case !n.Owner.Session:
		e.Agent = "unwatched"
	}
	return e
}

func (l nodeList) table(p paint, now time.Time) string {
	if len(l.Nodes) == 0 {
		return "no nodes in etcd at " + l.etcd + "; is it the agents' etcd and prefix, and is an agent running?\n"
	}
	rows := [][]cell{{{"AGENT", bold}, {"NODE", bold}, {"FOR", bold}, {"HOST", bold}, {"SURROGATE", bold}, {"ADDRESS", bold}, {"VERSION", bold}, {"CONTAINERS", bold}}}
	for _, n := range l.Nodes {
		since := "-"
		if !n.Since.IsZero() {
			since = age(now.Sub(n.Since))
		}
		rows = append(rows, []cell{
			{n.Agent, agentColour(n.Agent)}, {text: n.Node}, {text: since}, {text: dash(n.Host)}, {text: dash(n.Surrogate)},
			{text: dash(n.Address)}, {text: dash(n.Version)}, {text: counts(n.Containers)},
		})
	}
	var b strings.Builder
	writeTable(&b, p, rows)
	return b.String()
}

func agentColour(agent string) string {
	switch agent {
	case "alive":
		return green
	case "silent":
		return red
	default:
		return yellow
	}
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// allStates are in the order in which people are told of them, the good news first.
func allStates() []status.State {
	return []status.State{
		status.StateHealthy, status.StateStarting, status.StateUnhealthy, status.StateDraining, status.StatePaused,
		status.StateInvalid, status.StateLost, status.StateStopped,
	}
}

// counts says how many containers are in which state, the good news first.
func counts(containers map[status.State]int) string { return countsBy(allStates(), containers) }

func countsBy(order []status.State, containers map[status.State]int) string {
	var words []string
	for _, s := range order {
		if n := containers[s]; n > 0 {
			words = append(words, fmt.Sprintf("%d %s", n, s))
		}
	}
	return dash(strings.Join(words, ", "))
}
