package main

import (
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
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

	settle   time.Duration // from the first verdicts, or the start of a yardstick, to a span
	bin      string
	version  string
	json     string
	svg      string
	markdown string
	from     string
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
	list(f, "only", "measure `groups` alone, with commas between", &o.only, groups, among(groups))
	list(f, "n", "cost: `numbers` of containers", &o.sizes, []int{50, 200, 1000, 5000}, count)
	list(f, "interval", "cost: `intervals` of the probes", &o.intervals, []time.Duration{time.Second, 10 * time.Second}, time.ParseDuration)
	list(f, "kind", "cost: `kinds` of probes", &o.kinds, []string{"http", "tcp"}, among([]string{"http", "tcp"}))
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
	f.StringVar(&o.json, "json", "", "write all figures to `FILE`")
	f.StringVar(&o.svg, "svg", "", "draw CPU and memory over the number of containers to `FILE`; needs the group cost")
	f.StringVar(&o.markdown, "markdown", "", "write the tables to `FILE`, as docs/performance.md has them")
	f.StringVar(&o.from, "from", "", "measure nothing; show what -json wrote to `FILE`")
}

// hurry makes it quick.
func (o *options) hurry() {
	o.sizes, o.intervals = []int{200, 1000}, []time.Duration{time.Second}
	o.rounds, o.span, o.settle, o.lean = 1, 1500*time.Millisecond, time.Second, true
	o.quiet, o.spread, o.starts, o.latency = 5*time.Second, 10*time.Second, 1, 5
}

func count(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err == nil && n < 1 {
		err = fmt.Errorf("%d: want at least 1", n)
	}
	return n, err
}

func among(words []string) func(string) (string, error) {
	return func(s string) (string, error) {
		if !slices.Contains(words, s) {
			return "", fmt.Errorf("%q is none of %s", s, strings.Join(words, ", "))
		}
		return s, nil
	}
}

// list is a flag that is a list.
func list[T any](f *flag.FlagSet, name, usage string, into *[]T, value []T, read func(string) (T, error)) {
	*into = value
	words := strings.Trim(strings.ReplaceAll(fmt.Sprint(value), " ", ","), "[]")
	f.Func(name, usage+" (default "+words+")", func(text string) error {
		*into = nil
		for word := range strings.SplitSeq(text, ",") {
			v, err := read(word)
			if err != nil {
				return err
			}
			*into = append(*into, v)
		}
		return nil
	})
}
