package main

import (
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/projecteru2/eru-agent/bench/report"
)

type options struct {
	nodes      int
	containers int
	racks      int
	interval   time.Duration
	ttl        time.Duration
	atOnce     int
	quiet      time.Duration

	bin     string
	version string
	silence string
	report.Files
}

// What dies: the nodes of two racks of these sizes. The two agents that are
// processes of their own have racks too.
const (
	one   = 1
	ten   = 10
	alone = 2
)

const help = `Runs many agents with many containers around an etcd of three members on this
machine, and reports etcd's load when all is quiet, the time from the death of
one node, of ten and of all to what stands in etcd, and what the monitor costs.
It takes root, for network namespaces.

Flags:
`

func parse(args []string) (options, error) {
	o := options{}
	f := flag.NewFlagSet("fleet", flag.ContinueOnError)
	f.Usage = func() {
		_, _ = fmt.Fprint(f.Output(), help)
		f.PrintDefaults()
	}
	f.IntVar(&o.nodes, "n", 1000, "nodes")
	f.IntVar(&o.containers, "containers", 100, "containers of each node")
	f.IntVar(&o.racks, "racks", 4, "processes that the nodes are spread over")
	f.DurationVar(&o.interval, "interval", 5*time.Minute, "between the probes of a container")
	f.DurationVar(&o.ttl, "ttl", 10*time.Second, "of the nodes' sessions")
	f.IntVar(&o.atOnce, "at-once", 4, "agents of a rack that start together")
	f.DurationVar(&o.quiet, "quiet", time.Minute, "how long nothing happens")
	f.StringVar(&o.bin, "bin", "bin", "`folder` with the programs eru-agent and etcd")
	f.StringVar(&o.version, "version", "", "what the report calls the agent")
	f.StringVar(&o.silence, "silence", "", "`file` with the figures of e2e/silence, to stand in the same table")
	o.Define(f, "docs/selfmon-figures.md")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("unexpected %q; see -help", f.Arg(0))
	case o.racks < 4 || o.racks > 6: // with fewer, too little is left to die together when the monitor is among the many
		return o, errors.New("-racks: want 4 to 6")
	case o.nodes < 3*(one+ten):
		return o, fmt.Errorf("-n %d: ten that die together shall be less than a third, so want at least %d", o.nodes, 3*(one+ten))
	case (o.nodes-alone-one-ten+o.racks-1)/o.racks*o.containers > mostContainers:
		return o, fmt.Errorf("-n %d, -containers %d: a rack takes %d containers; want more -racks", o.nodes, o.containers, mostContainers)
	}
	return o, nil
}
