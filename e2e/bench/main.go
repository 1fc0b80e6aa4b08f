// Command bench measures what eru-agent promises and prints it as a table, each
// figure beside its limit or a baseline that was measured in the same run.
// Machines are noisy: it prints, and nothing fails on a figure.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/projecteru2/eru-agent/e2e/bench/probecost"
)

func main() {
	if served, err := probecost.Serve(); served { // this same program, as the servers to be probed
		exit(err)
	}
	only := flag.String("only", "latency,quiet,restart,cost", "which measurements to make")
	rounds := flag.Int("rounds", 30, "rounds of each latency")
	quiet := flag.Duration("quiet", time.Minute, "length of the quiet node's measurement")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	exit(run(ctx, os.Stdout, strings.Split(*only, ","), *rounds, *quiet))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(ctx context.Context, out io.Writer, only []string, rounds int, quiet time.Duration) error {
	s := &stage{}
	defer s.close()
	if err := s.open(ctx); err != nil {
		return err
	}
	measurements := []struct {
		name string
		do   func(context.Context, *stage, io.Writer) error
	}{
		{"latency", func(ctx context.Context, s *stage, w io.Writer) error { return latency(ctx, s, w, rounds) }},
		{"quiet", func(ctx context.Context, s *stage, w io.Writer) error { return quietNode(ctx, s, w, quiet) }},
		{"restart", restarts},
		{"cost", func(ctx context.Context, _ *stage, w io.Writer) error { return probecost.Measure(ctx, w) }},
	}
	for _, m := range measurements {
		if !slices.Contains(only, m.name) {
			continue
		}
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		err := m.do(ctx, s, w)
		if err := errors.Join(err, w.Flush()); err != nil {
			return fmt.Errorf("measuring %s: %w", m.name, err)
		}
		_, _ = fmt.Fprintln(out)
	}
	return nil
}

// spread is what is said of many measurements of one thing.
func spread(d []time.Duration) string {
	if len(d) == 0 {
		return "-\t-\t-"
	}
	slices.Sort(d)
	return fmt.Sprintf("%s\t%s\t%s", ms(d[0]), ms(d[len(d)/2]), ms(d[len(d)-1]))
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }
