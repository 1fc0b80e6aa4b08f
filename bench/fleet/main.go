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

	"github.com/projecteru2/eru-agent/bench/report"
	"github.com/projecteru2/eru-agent/bench/stage"
	"github.com/projecteru2/eru-agent/bench/target"
)

func main() {
	if role := os.Getenv(stage.RoleVar); role != "" {
		exit(play(role, os.Getenv(stage.SpecVar)))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	o, err := parse(os.Args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
		exit(nil)
	case err != nil:
		fmt.Fprintln(os.Stderr, "fleet:", err)
		os.Exit(2)
	}
	exit(run(ctx, o, os.Stdout, os.Stderr))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "fleet:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// play makes this process one of those that the stage starts.
func play(role, text string) error {
	switch role {
	case "target":
		var s target.Spec
		return errors.Join(json.Unmarshal([]byte(text), &s), target.Serve(s))
	case "rack":
		var s spec
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			return fmt.Errorf("reading what to do: %w", err)
		}
		return serveRack(s)
	}
	return fmt.Errorf("no process is called %q", role)
}

// run measures, and says what it has measured also when something went wrong.
func run(ctx context.Context, o options, out, progress io.Writer) error {
	r := &report.Report{Date: time.Now(), Command: strings.Join(os.Args[1:], " "), Machine: report.ThisMachine(), Agent: o.version}
	if o.silence != "" {
		silence, err := report.Read(o.silence)
		if err != nil {
			return err
		}
		r.Figures, r.Tables = silence.Figures, silence.Tables
	}
	err := measure(ctx, o, r, progress)
	r.Took = time.Since(r.Date)
	err = errors.Join(err, r.Print(out))
	if o.json != "" {
		err = errors.Join(err, r.Write(o.json))
	}
	if o.markdown != "" {
		err = errors.Join(err, r.Markdown(o.markdown))
	}
	return err
}

func measure(ctx context.Context, o options, r *report.Report, progress io.Writer) error {
	f := &fleet{options: o, report: r, progress: progress}
	defer f.close()
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"wiring hosts and starting etcd", f.open},
		{fmt.Sprintf("starting %d nodes of %d containers", o.nodes, o.containers), f.start},
		{"nothing, for " + o.quiet.String(), f.calm},
		{"the death of one node", func(ctx context.Context) error { return f.death(ctx, f.victims[0]) }},
		{"the death of ten nodes", func(ctx context.Context) error { return f.death(ctx, f.victims[1]) }},
		{"etcd standing still for twice the TTL", f.freeze},
		{"the death of the monitor's agent", f.election},
		{"the death of all other nodes", f.end},
	} {
		_, _ = fmt.Fprintf(progress, "fleet: %s after %s\n", step.what, time.Since(r.Date).Round(time.Second))
		if err := step.do(ctx); err != nil {
			if ctx.Err() != nil {
				return errors.New("interrupted; what was measured before stands above")
			}
			r.Skipped = append(r.Skipped, fmt.Sprintf("%s, and what comes after: %s", step.what, err))
			return fmt.Errorf("measuring %s: %w", step.what, err)
		}
	}
	return nil
}
