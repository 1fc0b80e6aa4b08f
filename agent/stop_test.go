package agent_test

import (
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/projecteru2/eru-agent/healthcheck"
	"github.com/projecteru2/eru-agent/watcher"
)

func TestDrainingWithProbesNeedsTimeAndAPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t)
		c := box("c1", probedLabels())
		r.running(c)
		r.passes("c1")
		r.stopping(c, syscall.SIGTERM)
		r.says("c1 starting", "c1 healthy", "c1 draining stop_signal")
		if _, s := r.only(); s.Detail != "SIGTERM" {
			t.Errorf("detail %q", s.Detail)
		}
		elapse(10*time.Second - time.Nanosecond)
		r.passes("c1")
		r.says()
		elapse(time.Nanosecond)
		r.fails("c1", healthcheck.ReasonTimeout)
		r.says()
		elapse(time.Hour)
		r.says()
		r.passes("c1")
		r.says("c1 healthy")
	})
}

func TestDrainingWithoutProbesNeedsTimeAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t)
		c := box("c1", plainLabels())
		r.running(c)
		r.stopping(c, syscall.SIGTERM)
		elapse(6 * time.Second)
		r.stopping(c, syscall.SIGKILL) // the time begins anew
		r.says("c1 healthy", "c1 draining stop_signal")
		elapse(10*time.Second - time.Nanosecond)
		r.says()
		elapse(time.Nanosecond)
		r.says("c1 healthy")
	})
}

func TestDrainingForEver(t *testing.T) {
	for name, labels := range map[string]map[string]string{"probed": probedLabels(), "no check": plainLabels()} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := openRig(t)
				c := box("c1", labels)
				c.StopTimeout = -time.Second
				r.running(c)
				r.stopping(c, syscall.SIGTERM)
				r.forget()
				elapse(365 * 24 * time.Hour)
				if _, ok := r.checks.job("c1"); ok {
					r.passes("c1")
				}
				r.says()
				r.exited(c, watcher.Exit{})
				r.says("c1 stopped exited")
			})
		})
	}
}

// A stop timeout of nothing must not let a container come back between its stop
// signal and its death.
func TestDrainingWithoutTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t)
		c := box("c1", plainLabels())
		c.StopTimeout = 0
		r.running(c)
		r.stopping(c, syscall.SIGTERM)
		elapse(200 * time.Millisecond)
		r.exited(c, watcher.Exit{})
		r.says("c1 healthy", "c1 draining stop_signal", "c1 stopped exited")
	})
}

// What nobody probes leaves draining by time alone, whatever is the reason.
func TestDrainingOfWhatIsNotProbed(t *testing.T) {
	badName := map[string]string{"eru.app": "a/b", "eru.entrypoint": "c", "eru.health.http.port": "80"}
	for name, tt := range map[string]struct {
		labels map[string]string
		change func(c *watcher.Container)
		want   string
	}{
		"invalid identity": {badName, func(*watcher.Container) {}, "c1 invalid label"},
		"invalid check":    {map[string]string{"eru.health.http.port": "x"}, func(*watcher.Container) {}, "c1 invalid label"},
		"paused":           {probedLabels(), func(c *watcher.Container) { c.Paused = true }, "c1 paused"},
		"no address":       {probedLabels(), func(c *watcher.Container) { c.Addr = netip.Addr{} }, "c1 starting no_address"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := openRig(t)
				c := box("c1", tt.labels)
				r.running(c)
				r.stopping(c, syscall.SIGTERM)
				tt.change(&c)
				r.forget()
				c.Pid++
				r.running(c)
				elapse(9 * time.Second)
				r.forget() // the facts may be news, the state is none
				elapse(2 * time.Second)
				r.says(tt.want)
			})
		})
	}
}

func TestStoppingOfAnotherLifeOrTheDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t)
		c := box("c1", plainLabels())
		old := c
		old.Started = c.Started.Add(-time.Minute)
		r.stopping(c, syscall.SIGTERM) // never seen
		r.running(c)
		r.stopping(old, syscall.SIGTERM)
		r.says("c1 healthy")
		r.exited(c, watcher.Exit{})
		r.stopping(c, syscall.SIGTERM)
		r.says("c1 stopped exited")
	})
}

func TestNothingOfALifeComesAfterItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t)
		c := box("c1", probedLabels())
		r.running(c)
		r.passes("c1")
		job, _ := r.checks.job("c1")
		r.exited(c, watcher.Exit{})
		r.forget()
		pass := healthcheck.Result{ID: "c1", Epoch: job.Epoch, Verdict: healthcheck.Verdict{Pass: true}}
		r.result(pass)
		r.says()
		if _, ok := r.checks.job("c1"); ok {
			t.Error("the dead is probed")
		}
		elapse(time.Second)
		c.Started = time.Now()
		r.running(c)
		r.result(pass)
		r.says("c1 starting")
		r.passes("c1")
		r.says("c1 healthy")
		r.exited(c, watcher.Exit{})
		r.removed("c1")
		r.result(pass)
		r.says("c1 stopped exited", "c1 deleted web/web")
		r.counts("eru_agent_verdicts_dropped_total", `
			eru_agent_verdicts_dropped_total{why="own_fault"} 0
			eru_agent_verdicts_dropped_total{why="stale"} 3
			eru_agent_verdicts_dropped_total{why="starved"} 0
		`)
	})
}

func TestVoidVerdictsAreDroppedAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t)
		r.running(box("c1", probedLabels()))
		r.passes("c1")
		job, _ := r.checks.job("c1")
		r.forget()
		r.result(healthcheck.Result{ID: "c1", Epoch: job.Epoch, Void: true, Verdict: healthcheck.Verdict{Reason: "timeout"}})
		r.result(healthcheck.Result{ID: "c1", Epoch: job.Epoch, Void: true, Verdict: healthcheck.Verdict{Reason: "timeout"}})
		r.result(healthcheck.Result{ID: "c1", Epoch: job.Epoch, Void: true, Verdict: healthcheck.Verdict{Reason: healthcheck.ReasonAgent}})
		r.says()
		r.counts("eru_agent_verdicts_dropped_total", `
			eru_agent_verdicts_dropped_total{why="own_fault"} 1
			eru_agent_verdicts_dropped_total{why="stale"} 0
			eru_agent_verdicts_dropped_total{why="starved"} 2
		`)
	})
}

// TestDivertedVerdicts are told to whom they are for, and leave no other trace than that the agent was not fit.
func TestDivertedVerdicts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t)
		r.result(healthcheck.Result{ID: "canary", Verdict: healthcheck.Verdict{Pass: true}})
		r.result(healthcheck.Result{ID: "canary", Void: true, Verdict: healthcheck.Verdict{Reason: "timeout"}})
		if len(r.aside) != 2 || !r.aside[0].Verdict.Pass || !r.aside[1].Void {
			t.Errorf("told %+v", r.aside)
		}
		r.says()
		r.counts("eru_agent_verdicts_dropped_total", `
			eru_agent_verdicts_dropped_total{why="own_fault"} 0
			eru_agent_verdicts_dropped_total{why="stale"} 0
			eru_agent_verdicts_dropped_total{why="starved"} 1
		`)
		r.counts("eru_agent_transitions_total", "")
		if list, err := r.agent.Containers(t.Context()); err != nil || len(list) > 0 {
			t.Errorf("containers are %v, %v", list, err)
		}
	})
}

func TestExitWordsOfKernelAndDocker(t *testing.T) {
	for name, tt := range map[string]struct {
		exit   watcher.Exit
		says   []string
		detail string
	}{
		"code":   {watcher.Exit{Known: true, Code: 3}, []string{"c1 stopped exited"}, "exit code 3"},
		"signal": {watcher.Exit{Known: true, Code: 137}, []string{"c1 stopped exited"}, "exit code 137 (SIGKILL)"},
		"oom":    {watcher.Exit{Known: true, Code: 137, OOM: true}, []string{"c1 stopped oom"}, "exit code 137 (SIGKILL)"},
		"odd":    {watcher.Exit{Known: true, Code: 255}, []string{"c1 stopped exited"}, "exit code 255"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := openRig(t)
				c := box("c1", plainLabels())
				r.running(c)
				r.exited(c, watcher.Exit{})
				r.says("c1 healthy", "c1 stopped exited")
				since := time.Now()
				if _, s := r.only(); s.Detail != "" || s.Running || s.Healthy {
					t.Errorf("the kernel's word: %+v", s)
				}
				elapse(100 * time.Millisecond)
				r.exited(c, tt.exit)
				r.says(tt.says...)
				_, s := r.only()
				if s.Detail != tt.detail || !s.Since.Equal(since) {
					t.Errorf("detail %q since %s; want %q since %s", s.Detail, s.Since, tt.detail, since)
				}
				r.exited(c, tt.exit)
				r.says()
			})
		})
	}
}

// A container that is dead when it is first seen is published stopped, and
// never as anything else, not for a moment.
func TestDeadWhenFirstSeen(t *testing.T) {
	for name, labels := range map[string]map[string]string{
		"probed": probedLabels(), "no check": plainLabels(), "invalid": {"eru.health.http.port": "x"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := openRig(t)
				c := box("c1", labels)
				r.exited(c, watcher.Exit{Known: true, Code: 1})
				r.says("c1 stopped exited")
				c.Started = c.Started.Add(time.Second) // a life that ended unseen
				r.exited(c, watcher.Exit{Known: true, Code: 2})
				r.says("c1 stopped exited")
				if _, s := r.only(); s.Detail != "exit code 2" || !s.Started.Equal(c.Started) {
					t.Errorf("%+v", s)
				}
				r.removed("c1")
				r.says("c1 deleted web/web")
				if r.checks.all != nil {
					t.Error("it was probed")
				}
			})
		})
	}
}

func TestRestartBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t)
		c := box("c1", probedLabels())
		r.running(c)
		r.passes("c1")
		elapse(time.Second)
		c.Started = time.Now() // its end was missed
		r.running(c)
		r.says("c1 starting", "c1 healthy", "c1 starting")
		r.fails("c1", "timeout")
		r.says("c1 starting timeout")
		if j, _ := r.checks.job("c1"); j.Passed {
			t.Error("the first probe of the new life may wait")
		}
	})
}

// The watcher rules out that Docker lags behind the kernel. If it takes its word
// back all the same, the container begins again.
func TestRunningAfterTheEndOfTheSameLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t)
		c := box("c1", probedLabels())
		r.running(c)
		r.passes("c1")
		r.exited(c, watcher.Exit{})
		r.forget()
		r.running(c)
		r.fails("c1", "timeout")
		r.passes("c1")
		r.says("c1 starting", "c1 starting timeout", "c1 healthy")
	})
}
