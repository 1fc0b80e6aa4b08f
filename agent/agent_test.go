package agent_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/projecteru2/eru-agent/agent"
	"github.com/projecteru2/eru-agent/watcher"
)

func TestFirstPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nodeConfig())
		passed := func(want bool) {
			t.Helper()
			if got, err := r.agent.FirstPass(t.Context()); err != nil || got != want {
				t.Errorf("%t, %v; want %t", got, err, want)
			}
		}
		r.listed("c1", "c2", "c3", "c4")
		r.running(box("c1", probedLabels()))
		r.running(box("c2", plainLabels()))
		r.exited(box("c3", probedLabels()), watcher.Exit{})
		r.running(box("c4", probedLabels()))
		r.fails("c1", "timeout")
		passed(false)
		r.synced()
		passed(false) // c4
		r.exited(box("c4", probedLabels()), watcher.Exit{})
		passed(true)
		r.running(box("c5", probedLabels()))
		passed(true) // it did not run when the agent started
	})
}

func TestQuestionsEndWithTheirContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := agent.New(nodeConfig(), nil, &checks{}, &etcd{}, nil, nil, nil) // its loop does not run
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := a.Alive(ctx); err == nil {
			t.Error("it is alive")
		}
		if _, err := a.FirstPass(ctx); err == nil {
			t.Error("it answers")
		}
		if _, err := a.Containers(ctx); err == nil {
			t.Error("it answers")
		}
	})
}
