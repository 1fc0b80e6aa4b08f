package healthcheck_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/projecteru2/eru-agent/healthcheck"
)

// answering is a probe that gives a verdict after a while, or when it is cut off.
func answering(name string, after time.Duration, v healthcheck.Verdict) healthcheck.Probe {
	return healthcheck.Probe{Kind: "fake", Name: name, Run: func(ctx context.Context, _ healthcheck.Target) healthcheck.Verdict {
		select {
		case <-time.After(after):
			return v
		case <-ctx.Done():
			return healthcheck.Fail(healthcheck.ReasonTimeout, "cut off")
		}
	}}
}

func TestAskSaysTheSameOfTheSameFailures(t *testing.T) {
	pass, refused := healthcheck.Verdict{Pass: true}, healthcheck.Fail(healthcheck.ReasonRefused, "nobody listens")
	for name, tt := range map[string]struct {
		probes []healthcheck.Probe
		want   string // the probe whose verdict it is
		took   time.Duration
	}{
		"all pass: the slowest": {
			[]healthcheck.Probe{answering("a", time.Second, pass), answering("b", time.Millisecond, pass)}, "a", time.Second,
		},
		"the first in order, though it failed second": {
			[]healthcheck.Probe{answering("a", 2*time.Millisecond, refused), answering("b", 0, refused)}, "a", 2 * time.Millisecond,
		},
		"a slow one is not waited for": {
			[]healthcheck.Probe{answering("a", time.Minute, refused), answering("b", time.Millisecond, refused)}, "b", 6 * time.Millisecond,
		},
		"a pass does not count against a failure": {
			[]healthcheck.Probe{answering("a", 3*time.Millisecond, pass), answering("b", time.Millisecond, refused)}, "b", 3 * time.Millisecond,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				v := healthcheck.Check{Probes: tt.probes}.Ask(t.Context(), healthcheck.Target{}, nil)
				if took := time.Since(start); v.Probe != tt.want || took != tt.took {
					t.Errorf("%q after %s, want %q after %s", v.Probe, took, tt.want, tt.took)
				}
			})
		})
	}
}

// TestAskedTooLate has an agent that was held back until the time for its question was over.
func TestAskedTooLate(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), -time.Second)
	defer cancel()
	probe := answering("a", 0, healthcheck.Verdict{Pass: true})
	for _, probes := range [][]healthcheck.Probe{{probe}, {probe, probe}} {
		v := healthcheck.Check{Probes: probes}.Ask(ctx, healthcheck.Target{}, nil)
		if v.Pass || v.Reason != healthcheck.ReasonAgent {
			t.Errorf("%d probes: %+v, want the agent's own fault", len(probes), v)
		}
	}
}
