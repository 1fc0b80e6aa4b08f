package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/projecteru2/eru-agent/bench/bare"
	"github.com/projecteru2/eru-agent/bench/report"
	"github.com/projecteru2/eru-agent/bench/stage"
	"github.com/projecteru2/eru-agent/bench/target"
	"github.com/projecteru2/eru-agent/bench/yardstick"
)

func main() {
	if role := os.Getenv(stage.RoleVar); role != "" {
		exit(play(role, os.Getenv(stage.SpecVar)))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	// Who pipes us into head must not keep us from tidying up: a failed write is an error, not the end.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	o, err := parse(os.Args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
		exit(nil)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	exit(run(ctx, o, os.Stdout, os.Stderr))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// play makes this process one of those that the stage starts.
func play(role, text string) error {
	switch role {
	case "target":
		return with(text, target.Serve)
	case "bare":
		return with(text, bare.Run)
	case "yardstick":
		return with(text, yardstick.Run)
	}
	return fmt.Errorf("no process is called %q", role)
}

func with[S any](text string, do func(S) error) error {
	var spec S
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		return fmt.Errorf("reading what to do: %w", err)
	}
	return do(spec)
}

// run measures, and says what it has measured also when it was interrupted.
func run(ctx context.Context, o options, out, progress io.Writer) error {
	if o.from != "" {
		r, err := report.Read(o.from)
		if err != nil {
			return err
		}
		return publish(r, o, out)
	}
	r := &report.Report{Date: time.Now(), Command: strings.Join(os.Args[1:], " "), Machine: report.ThisMachine(), Agent: o.version}
	err := measure(ctx, o, r, progress)
	r.Took = time.Since(r.Date)
	return errors.Join(err, publish(r, o, out))
}

func publish(r *report.Report, o options, out io.Writer) error {
	err := r.Print(out)
	if o.json != "" {
		err = errors.Join(err, r.Write(o.json))
	}
	if o.markdown != "" {
		err = errors.Join(err, r.Markdown(o.markdown))
	}
	if o.svg != "" {
		err = errors.Join(err, r.Plot(o.svg))
	}
	return err
}

func measure(ctx context.Context, o options, r *report.Report, progress io.Writer) error {
	s, err := stage.Open(ctx, o.bin)
	if err != nil {
		return err
	}
	defer s.Close()
	r.Etcd = s.Etcd.Version
	b := &bench{options: o, stage: s, report: r}
	return b.each(ctx, b.plan(), progress)
}

// each takes one step after the other. One that fails is said to be missing, and
// keeps none of the others from being measured.
func (b *bench) each(ctx context.Context, steps []step, progress io.Writer) error {
	left := time.Duration(0)
	for _, s := range steps {
		left += s.takes
	}
	_, _ = fmt.Fprintf(progress, "bench: %d measurements, about %s\n", len(steps), left.Round(time.Second))
	var errs []error
	for i, s := range steps {
		if _, err := fmt.Fprintf(progress, "bench: %d/%d %s, about %s left\n", i+1, len(steps), s.what, left.Round(time.Second)); err != nil {
			return fmt.Errorf("saying what is measured: %w", err)
		}
		err := s.do(ctx)
		if ctx.Err() != nil {
			return errors.New("interrupted; what was measured before stands above")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("measuring %s: %w", s.what, err))
			b.report.Skipped = append(b.report.Skipped, fmt.Sprintf("%s: %s", s.what, err))
		}
		left -= s.takes
	}
	return errors.Join(errs...)
}
