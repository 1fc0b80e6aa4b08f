package cmd

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/projecteru2/eru-agent/agent"
	"github.com/projecteru2/eru-agent/cmd/cli"
	"github.com/projecteru2/eru-agent/foreign"
	"github.com/projecteru2/eru-agent/healthcheck"
	"github.com/projecteru2/eru-agent/watcher"
)

func newProbe(probers []healthcheck.Prober) *cobra.Command {
	l := newLoader()
	output := "table"
	c := &cobra.Command{
		Use: "probe CONTAINER", Short: "Probe one container now and show the timings",
		Long: `Ask Docker for one container, by name or ID, and make each of its probes once. No
etcd is needed, and nothing is written. Exit code 0 if all pass, 1 if one does not.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("got %d arguments, want the name or ID of one container", len(args))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if output != "table" && output != "json" {
				return cli.Usage(fmt.Errorf("--output: got %q, want table or json", output))
			}
			cfg, err := l.load(os.Environ())
			if err != nil {
				return err
			}
			found, err := watcher.Find(c.Context(), cfg.watcher(), args[0])
			if err != nil {
				return err
			}
			rep := ask(c.Context(), found, healthcheck.NewParser(cfg.health, probers...))
			return rep.print(c, output)
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	l.AddTo(c.Flags(), "docker.", "healthcheck.")
	return c
}

// probeReport is one verdict with its timings.
type probeReport struct {
	ID       string                `json:"id"`
	Name     string                `json:"name"`
	Address  string                `json:"address,omitempty"`
	Healthy  bool                  `json:"healthy"`
	Summary  string                `json:"summary"`
	Verdicts []healthcheck.Verdict `json:"verdicts"`
}

func ask(ctx context.Context, c watcher.Container, parser *healthcheck.Parser) probeReport {
	rep := probeReport{ID: c.ID, Name: c.Name, Verdicts: []healthcheck.Verdict{}}
	check, err := parser.Parse(c.Labels)
	if _, wrong := agent.Identify(c.Labels, c.Name, "", c.ID); wrong != nil {
		err = wrong
	}
	switch {
	case err != nil:
		rep.Summary = "invalid: " + err.Error()
		return rep
	case c.Paused:
		rep.Summary = "paused by Docker"
		return rep
	case len(check.Probes) == 0:
		rep.Healthy, rep.Summary = true, "healthy: it runs, and no label asks for a check"
		return rep
	case !check.At(c.Addr).IsValid():
		rep.Summary = "unhealthy: " + c.NoAddr
		return rep
	}
	target := healthcheck.Target{Addr: check.At(c.Addr)}
	if check.Inside() {
		target.Inside = healthcheck.NewNamespace(c.Namespace)
		defer func() { _ = target.Inside.Close() }()
	}
	rep.Address, rep.Healthy, rep.Summary = target.Addr.String(), true, "healthy"
	for _, p := range check.Probes {
		alone := healthcheck.Check{Probes: []healthcheck.Probe{p}, Via: check.Via}
		bounded, cancel := context.WithTimeout(ctx, check.Timeout)
		v := alone.Ask(bounded, target, nil)
		cancel()
		rep.Verdicts = append(rep.Verdicts, v)
		if !v.Pass {
			rep.Healthy, rep.Summary = false, "unhealthy"
		}
	}
	return rep
}

func (r probeReport) print(c *cobra.Command, output string) error {
	out := c.OutOrStdout()
	if output == "json" {
		text, err := document(r)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprint(out, text)
	} else {
		_, _ = fmt.Fprint(out, r.text(painter(out)))
	}
	if !r.Healthy {
		return cli.ErrNo
	}
	return nil
}

func (r probeReport) text(p paint) string {
	var b strings.Builder
	at := ""
	if r.Address != "" {
		at = " at " + r.Address
	}
	fmt.Fprintf(&b, "%s %.12s%s\n", p(bold, foreign.Text(r.Name)), r.ID, at)
	var rows [][]cell
	for _, v := range r.Verdicts {
		result := cell{"pass", green}
		if !v.Pass {
			result = cell{string(v.Reason), red}
		}
		rows = append(rows, []cell{{text: "  " + v.Probe}, result, {text: timings(v.Timings)}, {v.Detail, grey}})
	}
	writeTable(&b, p, rows)
	colour := red
	if r.Healthy {
		colour = green
	}
	b.WriteString(p(colour, foreign.Lines(r.Summary)) + "\n")
	return b.String()
}

func timings(t healthcheck.Timings) string {
	var words []string
	for _, phase := range []struct {
		name string
		at   time.Duration
	}{{"connect", t.Connect}, {"tls", t.TLS}, {"write", t.Write}, {"first byte", t.FirstByte}, {"total", t.Total}} {
		if phase.at > 0 {
			words = append(words, fmt.Sprintf("%s %.1fms", phase.name, float64(phase.at.Microseconds())/1000))
		}
	}
	return strings.Join(words, "  ")
}
