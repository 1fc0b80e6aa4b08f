package agent_test

import (
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/projecteru2/eru-agent/healthcheck"
	"github.com/projecteru2/eru-agent/watcher"
)

func TestLifeOfAProbedContainer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t)
		c := box("c1", probedLabels())
		r.running(c)
		r.says("c1 starting")
		r.fails("c1", healthcheck.ReasonRefused)
		r.says("c1 starting connect_refused")
		r.fails("c1", healthcheck.ReasonTimeout)
		r.says("c1 starting timeout")
		r.passes("c1")
		r.says("c1 healthy")
		r.fails("c1", healthcheck.ReasonHTTPCode)
		r.says("c1 unhealthy http_code")
		r.passes("c1")
		r.says("c1 healthy")
		r.stopping(c, syscall.SIGTERM)
		r.says("c1 draining stop_signal")
		r.passes("c1")
		r.fails("c1", healthcheck.ReasonRefused)
		r.says()
		r.exited(c, watcher.Exit{})
		r.says("c1 stopped exited")
		r.removed("c1")
		r.says("c1 deleted web/web")
	})
}

func TestSameStateAndReasonIsNotPublishedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t)
		r.running(box("c1", probedLabels()))
		r.says("c1 starting")
		for i := range 3 {
			r.probe("c1", healthcheck.Verdict{Reason: healthcheck.ReasonTLS, Detail: fmt.Sprintf("handshake %d", i), Probe: "https :80/"})
		}
		r.says("c1 starting tls")
		_, s := r.only()
		if s.Detail != "https :80/: handshake 0" {
			t.Errorf("detail %q", s.Detail)
		}
		r.probe("c1", healthcheck.Verdict{Reason: healthcheck.ReasonTLS, Detail: "handshake 4", Probe: "https :443/"})
		r.says("c1 starting tls") // about another probe
		for range 2 {
			r.probe("c1", healthcheck.Verdict{Reason: healthcheck.ReasonHTTPCode, Detail: "500, want 200-399", Probe: "http :80/"})
		}
		r.says("c1 starting http_code")
		r.probe("c1", healthcheck.Verdict{Reason: healthcheck.ReasonHTTPCode, Detail: "404, want 200-399", Probe: "http :80/"})
		r.says("c1 starting http_code") // another code
		r.passes("c1")
		since := time.Now()
		elapse(time.Minute)
		r.passes("c1")
		r.says("c1 healthy")
		if _, s = r.only(); !s.Since.Equal(since) {
			t.Errorf("since %s, want %s", s.Since, since)
		}
	})
}

func TestSinceMovesWithTheStateOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t)
		r.running(box("c1", probedLabels()))
		r.passes("c1")
		elapse(time.Minute)
		r.fails("c1", healthcheck.ReasonTimeout)
		since := time.Now()
		elapse(time.Minute)
		r.fails("c1", healthcheck.ReasonRefused)
		r.says("c1 starting", "c1 healthy", "c1 unhealthy timeout", "c1 unhealthy connect_refused")
		if _, s := r.only(); !s.Since.Equal(since) {
			t.Errorf("since %s, want %s", s.Since, since)
		}
	})
}

func TestWithoutCheckHealthyWhileRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t)
		c := box("c1", plainLabels())
		c.Addr, c.NoAddr, c.Networks = netip.Addr{}, "network mode \"none\"", nil
		r.running(c)
		r.says("c1 healthy")
		if _, ok := r.checks.job("c1"); ok {
			t.Error("it is probed")
		}
		r.exited(c, watcher.Exit{Known: true, Code: 3})
		r.says("c1 stopped exited")
	})
}

func TestPauseAndFirstVerdictAfter(t *testing.T) {
	for _, tt := range []struct {
		name   string
		passed bool
		then   func(r *rig)
		want   []string
	}{
		{"healthy, passes", true, func(r *rig) { r.passes("c1") }, []string{"c1 healthy"}},
		{"healthy, fails", true, func(r *rig) { r.fails("c1", "timeout") }, []string{"c1 unhealthy timeout"}},
		{"never passed, fails", false, func(r *rig) { r.fails("c1", "timeout") }, []string{"c1 starting timeout"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := openRig(t)
				c := box("c1", probedLabels())
				r.running(c)
				if tt.passed {
					r.passes("c1")
				}
				old, _ := r.checks.job("c1")
				r.forget()
				c.Paused = true
				r.running(c)
				r.says("c1 paused")
				r.result(healthcheck.Result{ID: "c1", Epoch: old.Epoch, Verdict: healthcheck.Verdict{Pass: true}})
				c.Paused = false
				r.running(c)
				r.result(healthcheck.Result{ID: "c1", Epoch: old.Epoch, Verdict: healthcheck.Verdict{Pass: true}})
				r.says() // paused until a verdict
				if j, _ := r.checks.job("c1"); j.Passed {
					t.Error("the first probe after a pause may wait")
				}
				tt.then(r)
				r.says(tt.want...)
			})
		})
	}
}

func TestPauseWithoutCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t)
		c := box("c1", plainLabels())
		r.running(c)
		c.Paused = true
		r.running(c)
		c.Paused = false
		r.running(c)
		r.says("c1 healthy", "c1 paused", "c1 healthy")
	})
}

// TestBarredFromInside holds that a container which the agent may not enter is invalid, and stays so until it is asked.
func TestBarredFromInside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t)
		c := box("c1", probedLabels())
		r.running(c)
		job, _ := r.checks.job("c1")
		barred := healthcheck.Fail(healthcheck.ReasonCapability, "connecting: it may not enter")
		r.result(healthcheck.Result{ID: "c1", Epoch: job.Epoch, Verdict: barred})
		r.running(c) // the same again, as Docker tells it
		r.result(healthcheck.Result{ID: "c1", Epoch: job.Epoch, Verdict: barred})
		r.says("c1 starting", "c1 invalid capability")
		r.result(healthcheck.Result{ID: "c1", Epoch: job.Epoch, Verdict: healthcheck.Verdict{Pass: true}})
		r.says("c1 healthy")
	})
}

func TestInvalidNamesLabelAndFault(t *testing.T) {
	long := strings.Repeat("x", 129)
	for name, tt := range map[string]struct {
		labels map[string]string
		want   string
	}{
		"value":        {map[string]string{"eru.health.http.port": "http"}, "eru.health.http.port"},
		"unknown":      {map[string]string{"eru.health.htpp.port": "80"}, "eru.health.htpp.port"},
		"via":          {map[string]string{"eru.health.via": "netns"}, "healthcheck.netns: true"},
		"interval":     {map[string]string{"eru.health.interval": "1ms"}, "eru.health.interval"},
		"meta":         {map[string]string{"ERU_META": "{"}, "ERU_META"},
		"publish":      {map[string]string{"eru.publish": "0"}, "eru.publish"},
		"app":          {map[string]string{"eru.app": "../a", "eru.entrypoint": "b", "eru.health.http.port": "80"}, `eru.app="../a"`},
		"half":         {map[string]string{"eru.app": "a"}, `eru.entrypoint=""`},
		"long compose": {map[string]string{"com.docker.compose.project": long, "com.docker.compose.service": "s"}, "com.docker.compose.project="},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := openRig(t)
				c := box("c1", tt.labels)
				r.running(c)
				r.says("c1 invalid label")
				k, s := r.only()
				if k != keyOf("c1") || !strings.Contains(s.Detail, tt.want) || len(s.Detail) > healthcheck.MaxDetail {
					t.Errorf("key %v, detail %q; want one that contains %q", k, s.Detail, tt.want)
				}
				if _, ok := r.checks.job("c1"); ok {
					t.Error("it is probed")
				}
				r.exited(c, watcher.Exit{})
				r.says("c1 stopped exited")
			})
		})
	}
}

func TestNoAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t)
		c := box("c1", probedLabels())
		addr := c.Addr
		c.Addr, c.NoAddr = netip.Addr{}, "no address there"
		r.running(c)
		r.says("c1 starting no_address")
		if _, s := r.only(); s.Detail != "no address there" {
			t.Errorf("detail %q", s.Detail)
		}
		c.Addr, c.NoAddr = addr, ""
		r.running(c)
		r.passes("c1")
		r.forget()
		c.Addr, c.NoAddr = netip.Addr{}, "gone"
		r.running(c)
		r.says("c1 unhealthy no_address")
	})
}

func TestAddressChangeWithinALife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t)
		c := box("c1", probedLabels())
		r.running(c)
		r.passes("c1")
		old, _ := r.checks.job("c1")
		r.forget()
		c.Addr = netip.MustParseAddr("172.17.0.8")
		c.Networks = map[string]netip.Addr{"bridge": c.Addr}
		r.running(c)
		r.says("c1 healthy")
		now, _ := r.checks.job("c1")
		if now.Epoch == old.Epoch || now.Target.Addr != c.Addr || !now.Passed {
			t.Errorf("probes %+v after %+v", now, old)
		}
		r.result(healthcheck.Result{ID: "c1", Epoch: old.Epoch, Verdict: healthcheck.Verdict{Reason: "timeout"}})
		r.says()
		if _, s := r.only(); s.Endpoints["80"] != "172.17.0.8:80" || s.Networks["bridge"] != "172.17.0.8" {
			t.Errorf("%v, %v", s.Endpoints, s.Networks)
		}
	})
}

func TestFactsThatAreNoNewsChangeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t)
		c := box("c1", probedLabels())
		r.running(c)
		job, _ := r.checks.job("c1")
		c.Pid = 200
		r.running(c)
		r.says("c1 starting")
		if again, _ := r.checks.job("c1"); again.Epoch != job.Epoch {
			t.Error("it is probed anew")
		}
	})
}

func TestRenameMovesTheKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t)
		c := box("c1", probedLabels())
		r.running(c)
		r.passes("c1")
		r.forget()
		c.Name = "shop_front_x1"
		r.running(c)
		r.says("c1 dropped web/web", "c1 healthy")
		if k, s := r.only(); k.App != "shop" || k.Entrypoint != "front" || s.Name != c.Name {
			t.Errorf("%v, %q", k, s.Name)
		}
	})
}

func TestRenameOfTheSameService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t)
		c := box("c1", probedLabels())
		c.Name = "shop_front_x1"
		r.running(c)
		r.passes("c1")
		r.forget()
		c.Name = "shop_front_x2"
		r.running(c)
		r.says("c1 healthy") // under the same key, with another name
		if _, s := r.only(); s.Name != c.Name {
			t.Errorf("name %q", s.Name)
		}
	})
}

func TestRenameMendsAndBreaksTheIdentity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t)
		c := box("c1", probedLabels())
		c.Name = strings.Repeat("x", 129)
		r.running(c)
		r.says("c1 invalid label")
		c.Name = "web"
		r.running(c)
		r.says("c1 dropped c1/c1", "c1 starting")
		r.passes("c1")
		r.says("c1 healthy")
		c.Name = strings.Repeat("x", 129)
		r.running(c)
		r.says("c1 dropped web/web", "c1 invalid label")
		if _, ok := r.checks.job("c1"); ok {
			t.Error("it is probed")
		}
	})
}

func TestRenameBetweenTwoLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t)
		c := box("c1", probedLabels())
		r.running(c)
		r.exited(c, watcher.Exit{})
		r.forget()
		elapse(time.Second)
		c.Started, c.Name = time.Now(), "shop_front_x1"
		r.running(c)
		r.says("c1 dropped web/web", "c1 starting")
	})
}

func TestRenameOfTheDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t)
		c := box("c1", plainLabels())
		r.running(c)
		r.exited(c, watcher.Exit{Known: true, Code: 1})
		r.forget()
		c.Name = "shop_api_1"
		r.exited(c, watcher.Exit{Known: true, Code: 1})
		r.says("c1 dropped web/web", "c1 stopped exited")
		if k, s := r.only(); k.App != "shop" || s.Name != "shop_api_1" || len(s.Networks) != 1 {
			t.Errorf("%v %+v", k, s)
		}
	})
}

func TestReparse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t)
		labels := probedLabels()
		labels["eru.health.interval"] = "500ms"
		c := box("c1", labels)
		r.running(c)
		r.passes("c1")
		r.forget()
		strict := checkConfig()
		strict.MinInterval = time.Second
		if err := r.agent.Reparse(t.Context(), healthcheck.NewParser(strict)); err != nil {
			t.Fatal(err)
		}
		r.says("c1 invalid label")
		if _, s := r.only(); len(s.Endpoints) != 0 {
			t.Errorf("endpoints %v of a check that is not understood", s.Endpoints)
		}
		loose := checkConfig()
		loose.Timeout = time.Second
		if err := r.agent.Reparse(t.Context(), healthcheck.NewParser(loose)); err != nil {
			t.Fatal(err)
		}
		r.says("c1 starting")
		if j, _ := r.checks.job("c1"); j.Check.Timeout != time.Second {
			t.Errorf("timeout %s", j.Check.Timeout)
		}
		r.fails("c1", "timeout") // it has not passed what is asked now
		r.says("c1 starting timeout")
		r.passes("c1")
		r.says("c1 healthy")
		if err := r.agent.Reparse(t.Context(), healthcheck.NewParser(checkConfig())); err != nil {
			t.Fatal(err)
		}
		r.says("c1 healthy") // new defaults alone change no state, but how others ask
		r.exited(c, watcher.Exit{})
		if err := r.agent.Reparse(t.Context(), healthcheck.NewParser(strict)); err != nil {
			t.Fatal(err)
		}
		r.says("c1 stopped exited")
	})
}
