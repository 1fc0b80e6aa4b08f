package main

import (
	"flag"
	"fmt"
	"time"

	"github.com/projecteru2/eru-agent/bench/plan"
	"github.com/projecteru2/eru-agent/bench/report"
)

// groups are what can be measured, in that order.
var groups = []string{"cost", "quiet", "memory", "spread", "start", "death", "burst", "real", "store"} //nolint:gochecknoglobals // never changes

type options struct {
	only []string

	// Of cost.
	sizes     []int
	intervals []time.Duration
	kinds     []string
	rounds    int
	span      time.Duration
	lean      bool // no yardsticks but those of the limits

	// Of all others.
	size    int
	every   time.Duration
	quiet   time.Duration
	spread  time.Duration
	starts  int
	latency int

	settle  time.Duration // from the first verdicts, or the start of a yardstick, to a span
	bin     string
	version string
	svg     string
	report.Files
}

const help = `Measures the real agent against yardsticks in one run: ours, theirs, the ratio,
the limit, and whether it was met. Machines are noisy: figures of different runs
are not to be compared, ratios are. It takes root, for control groups.

Groups:
  cost    CPU per probe of the whole agent, in turns with probe loops that do the
          same and nothing else; the limits are on 200 and 1,000 containers at 1s
  quiet   what Docker and etcd are asked for while nothing happens; how much is resident
  memory  the same at five times the size
  spread  when probes begin, over an interval of 10s
  start   the agent's start and restart; containers that start in one second
  death   one end -> seen by a watcher of etcd, in turns with a bare client
  burst   half of all containers die within 0.1s, and at once, likewise
  real    life and end of real containers of this machine's Docker
  store   what etcd carries of what agents do to it

Flags:
`

func parse(args []string) (options, error) {
	o := options{}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.Usage = func() {
		_, _ = fmt.Fprint(f.Output(), help)
		f.PrintDefaults()
	}
	o.define(f)
	quick := f.Bool("quick", false, "a look, in under two minutes: short, one round, fewer sizes; other flags count over it")
	err := f.Parse(args)
	if err == nil && *quick {
		o.hurry()
		err = f.Parse(args) // once more, over that
	}
	if err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected %q; see -help", f.Arg(0))
	}
	return o, nil
}

func (o *options) define(f *flag.FlagSet) {
	plan.List(f, "only", "measure `groups` alone, with commas between", &o.only, groups, plan.Among(groups))
	plan.List(f, "n", "cost: `numbers` of containers", &o.sizes, []int{50, 200, 1000, 5000}, plan.Count)
	plan.List(f, "interval", "cost: `intervals` of the probes", &o.intervals, []time.Duration{time.Second, 10 * time.Second}, time.ParseDuration)
	plan.List(f, "kind", "cost: `kinds` of probes", &o.kinds, []string{"http", "tcp"}, plan.Among([]string{"http", "tcp"}))
	f.IntVar(&o.rounds, "rounds", 3, "cost: rounds of each figure that has a limit; the others have one")
	f.DurationVar(&o.span, "span", 5*time.Second, "cost, memory, store: how long each is watched; never less than an interval")
	f.BoolVar(&o.lean, "lean", false, "cost: no yardsticks but those that limits refer to")
	f.IntVar(&o.size, "size", 1000, "all others: containers")
	f.DurationVar(&o.every, "every", time.Second, "all others: interval of the probes")
	f.DurationVar(&o.quiet, "quiet", time.Minute, "quiet: how long nothing happens")
	f.DurationVar(&o.spread, "spread", 20*time.Second, "spread: how long starts are watched")
	f.IntVar(&o.starts, "starts", 5, "start, burst: rounds")
	f.IntVar(&o.latency, "latency", 30, "death, real: rounds")
	f.DurationVar(&o.settle, "settle", time.Second, "how long whatever is watched runs before")
	f.StringVar(&o.bin, "bin", "bin", "`folder` with the programs eru-agent, web and etcd")
	f.StringVar(&o.version, "version", "", "what the report calls the agent")
	f.StringVar(&o.svg, "svg", "", "draw CPU and memory over the number of containers to `FILE`; needs the group cost")
	o.Files.Define(f, "docs/performance.md")
}

// hurry makes it quick.
func (o *options) hurry() {
	o.sizes, o.intervals = []int{200, 1000}, []time.Duration{time.Second}
	o.rounds, o.span, o.settle, o.lean = 1, 1500*time.Millisecond, time.Second, true
	o.quiet, o.spread, o.starts, o.latency = 5*time.Second, 10*time.Second, 1, 5
}
