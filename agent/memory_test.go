package agent_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/projecteru2/eru-agent/healthcheck"
	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/trail"
)

// steps are what is remembered to have been said of web.
func (r *rig) steps() []string {
	r.t.Helper()
	c, err := r.memory.Find("web")
	if err != nil {
		r.t.Error(err)
	}
	var list []string
	for _, s := range c.Steps {
		list = append(list, strings.TrimSpace(fmt.Sprintf("%s>%s %s", s.From, s.To, s.Reason)))
	}
	return list
}

func TestTheTrailOfALife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t)
		c := box("c1", map[string]string{"eru.health.http.port": "80", "eru.app": "shop", "eru.entrypoint": "main"})
		c.Why = "because \x1b[31m"
		r.running(c)
		r.passes("c1")
		r.passes("c1")
		r.fails("c1", healthcheck.ReasonTimeout)
		j, _ := r.checks.job("c1")
		r.result(healthcheck.Result{ID: "c1", Epoch: j.Epoch, Void: true, Verdict: healthcheck.Verdict{Reason: healthcheck.ReasonAgent}})
		want := []string{">starting", "starting>healthy", "healthy>unhealthy timeout"}
		if got := r.steps(); !slices.Equal(got, want) {
			t.Errorf("steps %q, want %q", got, want)
		}
		got, err := r.memory.Find("c1")
		if err != nil {
			t.Fatal(err)
		}
		if got.App != "shop" || got.Name != "web" || !got.Started.Equal(c.Started) || len(got.Probes) != 4 || len(got.Verdicts) != 3 || !got.Probes[3].Void || got.Probes[3].Reason != "own_fault" {
			t.Errorf("remembered: %+v", got)
		}
		f := got.Facts
		if f.Why != "because ?[31m" || f.Address != "172.17.0.7" || !slices.Equal(f.Probes, []string{"http :80/"}) || f.Identity != "the labels eru.app and eru.entrypoint" ||
			!slices.Contains(f.Labels, trail.Label{Name: "eru.health.http.port", Value: "80", Meaning: "ask HTTP on this port"}) {
			t.Errorf("understood as %+v", f)
		}
		r.removed("c1")
		if got, err := r.memory.Find("c1"); err != nil || got.Removed.IsZero() {
			t.Errorf("after its removal: %v %v", got.Removed, err)
		}
	})
}

// TestAnInheritedStep holds that what an earlier agent had published is told from
// what this one says.
func TestAnInheritedStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nodeConfig())
		c := box("c1", probedLabels())
		r.adopt(foundOf(c, status.StateHealthy, ""))
		r.running(c)
		elapse(time.Second)
		got, err := r.memory.Find("c1")
		if err != nil || len(got.Steps) != 1 || got.Last().To != "healthy" || !got.Last().Inherited || len(r.memory.Moves()) != 0 {
			t.Errorf("%v: steps %+v, moves %+v", err, got.Steps, r.memory.Moves())
		}
	})
}
