package main

import (
	"flag"
	"fmt"
	"slices"
	"time"

	"github.com/projecteru2/eru-agent/bench/plan"
	"github.com/projecteru2/eru-agent/bench/report"
)

// The proxies, as the table calls them.
const (
	ofHAProxy = "HAProxy, eru-lb"
	ofNginx   = "nginx, reload"
	ofXDS     = "gRPC, xDS"
	ofChecks  = "HAProxy, own checks"
	ofPlain   = "HAProxy, own checks, no redispatch"
	ofDie     = "HAProxy, eru-lb, Docker's die"
)

var groups = []string{"haproxy", "die", "nginx", "xds", "checks", "faults", "panic", "scale"} //nolint:gochecknoglobals // never changes

type options struct {
	only []string

	servers   int
	rate      int // requests a second
	rounds    int // of each thing that has a limit
	others    int // the same behind other proxies
	unhealthy int
	puts      int
	interval  time.Duration
	away      time.Duration // of etcd
	backends  int
	changes   int // a second
	scale     time.Duration

	bin     string
	root    string // of the repository
	version string
	report.Files
}

const help = `Measures what users of a proxy see when servers die, stop, turn unhealthy or
drain: requests that failed, and how long it took until none was sent there. It takes
root, a Docker Engine, HAProxy and nginx (scripts/setup test installs them).

Groups:
  haproxy  HAProxy driven by eru-lb: servers killed, stopped, turned unhealthy, drained
  die      the same with Docker's die as the agent's only word: killed
  nginx    nginx, which confd makes reload
  xds      a gRPC client that follows eru-lb xds
  checks   HAProxy with its own checks only, with and without redispatch
  faults   etcd away, the agent killed, eru-lb killed, HAProxy reloaded in the middle of a kill
  panic    every container unhealthy at once
  scale    many servers, many changes: CPU and memory of eru-lb, and its lag

Flags:
`

func parse(args []string) (options, error) {
	o := options{}
	f := flag.NewFlagSet("cutover", flag.ContinueOnError)
	f.Usage = func() {
		_, _ = fmt.Fprint(f.Output(), help)
		f.PrintDefaults()
	}
	o.define(f)
	quick := f.Bool("quick", false, "a look, in two minutes: few rounds, short spans; other flags count over it")
	err := f.Parse(args)
	if err == nil && *quick {
		o.hurry()
		err = f.Parse(args) // once more, over that
	}
	if err == nil && f.NArg() > 0 {
		err = fmt.Errorf("unexpected %q; see -help", f.Arg(0))
	}
	return o, err
}

func (o *options) define(f *flag.FlagSet) {
	plan.List(f, "only", "measure `groups` alone, with commas between", &o.only, groups, plan.Among(groups))
	f.IntVar(&o.servers, "servers", 5, "containers")
	f.IntVar(&o.rate, "rate", 400, "requests a second")
	f.IntVar(&o.rounds, "rounds", 20, "kills and stops behind HAProxy with eru-lb")
	f.IntVar(&o.others, "others", 6, "kills and stops behind the other proxies, a quarter of it behind HAProxy with its own checks")
	f.IntVar(&o.unhealthy, "unhealthy", 10, "how often a container turns unhealthy")
	f.IntVar(&o.puts, "puts", 100, "how often a container is taken out by a put")
	f.DurationVar(&o.interval, "interval", time.Second, "interval of the probes")
	f.DurationVar(&o.away, "away", time.Minute, "how long etcd is away")
	f.IntVar(&o.backends, "backends", 100, "scale: backends of ten servers")
	f.IntVar(&o.changes, "changes", 50, "scale: changes a second")
	f.DurationVar(&o.scale, "scale", time.Minute, "scale: for how long")
	f.StringVar(&o.bin, "bin", "bin", "`folder` with the programs eru-agent, eru-lb, web, etcd and confd")
	f.StringVar(&o.root, "root", ".", "`folder` of the repository")
	f.StringVar(&o.version, "version", "", "what the report calls the agent")
	o.Files.Define(f, "docs/proxies.md")
}

// hurry makes it quick.
func (o *options) hurry() {
	o.rounds, o.others, o.unhealthy, o.puts = 3, 2, 2, 10
	o.away, o.scale = 12*time.Second, 5*time.Second
}

func (o *options) wants(group string) bool { return slices.Contains(o.only, group) }
