package agent_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/projecteru2/eru-agent/agent"
	"github.com/projecteru2/eru-agent/healthcheck"
	"github.com/projecteru2/eru-agent/watcher"
)

func TestFirstPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nodeConfig())
		waitsFor := func(want ...string) {
			t.Helper()
			if got, err := r.agent.Pending(t.Context()); err != nil || !slices.Equal(got, want) {
				t.Errorf("%q, %v; want %q", got, err, want)
			}
		}
		r.listed("c1", "c2", "c3", "c4", "c6")
		r.running(box("c1", probedLabels()))
		r.running(box("c2", plainLabels()))
		r.exited(box("c3", probedLabels()), watcher.Exit{})
		r.running(box("c4", probedLabels()))
		r.running(box("c6", probedLabels()))
		r.fails("c1", "timeout")
		waitsFor("Docker's containers to be listed")
		r.synced()
		waitsFor("web", "web")               // c4, c6
		r.running(box("c5", probedLabels())) // it did not run when the agent started
		r.exited(box("c4", probedLabels()), watcher.Exit{})
		waitsFor("web") // c6
		job, _ := r.checks.job("c6")
		r.result(healthcheck.Result{ID: "c6", Epoch: job.Epoch, Void: true, At: time.Now()})
		waitsFor()
	})
}

func TestQuestionsEndWithTheirContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := agent.New(nodeConfig(), nil, &checks{}, &etcd{}, nil, nil, nil, nil) // its loop does not run
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := a.Alive(ctx); err == nil {
			t.Error("it is alive")
		}
		if _, err := a.Pending(ctx); err == nil {
			t.Error("it answers")
		}
		if _, err := a.Containers(ctx); err == nil {
			t.Error("it answers")
		}
	})
}
