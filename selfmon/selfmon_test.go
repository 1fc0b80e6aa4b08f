package selfmon

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/projecteru2/eru-agent/status"
)

func TestReadyNamesAllThatIsMissing(t *testing.T) {
	const (
		docker  = "Docker: its events do not flow"
		session = "etcd: no session is held"
		loop    = "agent: its loop does not answer"
		pass    = "containers: first verdict waits for a, b, c and 2 more"
		taken   = "etcd: has not taken all statuses yet"
	)
	for name, tt := range map[string]struct {
		change func(r *rig)
		want   []string
	}{
		"well":       {func(*rig) {}, nil},
		"Docker":     {func(r *rig) { r.flowing = false }, []string{docker}},
		"session":    {func(r *rig) { r.session.set(0) }, []string{session}},
		"no session": {func(r *rig) { r.session.set(0); r.cfg.HoldSession = false }, nil},
		"loop":       {func(r *rig) { r.agent.hangs = true }, []string{loop}},
		"first pass": {func(r *rig) { r.agent.passed = false }, []string{pass}},
		"taken":      {func(r *rig) { r.keys.settled = false }, []string{taken}},
		"all": {func(r *rig) {
			r.flowing, r.agent.passed, r.keys.settled = false, false, false
			r.session.set(0)
		}, []string{docker, session, pass, taken}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := inSession(HTTP{})
				tt.change(r)
				err := r.Ready(t.Context())
				if want := strings.Join(tt.want, "; "); (err == nil) != (want == "") || (err != nil && err.Error() != want) {
					t.Errorf("got  %v\nwant %v", err, want)
				}
			})
		})
	}
}

// A change that etcd has yet to take does not make a ready agent unready, or
// /readyz would flicker with each of them.
func TestReadyDoesNotFlicker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := inSession(HTTP{})
		r.agent.passed = false
		if r.Ready(t.Context()) == nil {
			t.Error("ready before the first pass")
		}
		r.agent.passed, r.keys.settled = true, false
		if r.Ready(t.Context()) == nil {
			t.Error("ready before etcd has taken the first pass")
		}
		r.keys.settled = true
		if err := r.Ready(t.Context()); err != nil {
			t.Error(err)
		}
		r.keys.settled = false
		if err := r.Ready(t.Context()); err != nil {
			t.Error(err)
		}
		r.session.set(0)
		if r.Ready(t.Context()) == nil {
			t.Error("ready without a session")
		}
	})
}

func TestAliveGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(HTTP{})
		if err := r.Alive(t.Context()); err != nil {
			t.Error(err)
		}
		r.agent.hangs = true
		start := time.Now()
		if err := r.Alive(t.Context()); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != aliveWithin {
			t.Errorf("%v after %s", err, time.Since(start))
		}
	})
}

func TestWaitReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := inSession(HTTP{})
		r.agent.passed = false
		done := make(chan error)
		go func() { done <- r.WaitReady(t.Context()) }()
		elapse(time.Minute)
		select {
		case err := <-done:
			t.Fatalf("it returned %v", err)
		default:
		}
		at := time.Now()
		r.agent.set(func() { r.agent.passed = true })
		if err := <-done; err != nil || time.Since(at) > 100*time.Millisecond {
			t.Errorf("%v after %s", err, time.Since(at))
		}
		r.session.set(0)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.WaitReady(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
}

func (r *rig) sessionMetrics(t *testing.T, up, lost string) {
	t.Helper()
	want := `
# HELP eru_agent_etcd_session_lost_total Sessions that ended although the agent lived.
# TYPE eru_agent_etcd_session_lost_total counter
eru_agent_etcd_session_lost_total ` + lost + `
# HELP eru_agent_etcd_session_up 1 while the node's session in etcd is held.
# TYPE eru_agent_etcd_session_up gauge
eru_agent_etcd_session_up ` + up + "\n"
	if err := testutil.GatherAndCompare(r.reg, strings.NewReader(want), "eru_agent_etcd_session_lost_total", "eru_agent_etcd_session_up"); err != nil {
		t.Error(err)
	}
}

// tries empties what fakeSessions saw.
func (r *rig) tries() []time.Time {
	r.sessions.mu.Lock()
	defer r.sessions.mu.Unlock()
	tries := r.sessions.tries
	return tries
}

func TestSessionIsOpenedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(HTTP{})
		done := make(chan error)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { done <- r.KeepSession(ctx) }()
		synctest.Wait()
		if state, lease := r.keys.record(); state != status.NodeRunning || lease != 1 || r.sessions.ttl != 10*time.Second {
			t.Errorf("%s on lease %d of %s", state, lease, r.sessions.ttl)
		}
		r.sessionMetrics(t, "1", "0")

		r.sessions.lost <- struct{}{}
		synctest.Wait()
		if r.session.isUp() {
			t.Error("a lost session is up")
		}
		r.sessionMetrics(t, "0", "1")
		elapse(100 * time.Millisecond)
		if _, lease := r.keys.record(); lease != 2 {
			t.Errorf("the node's record hangs on lease %d", lease)
		}
		r.sessionMetrics(t, "1", "1")
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if !r.session.isUp() {
			t.Error("the lease is not known any more; SayStopping needs it")
		}
	})
}

func TestSessionThatCannotBeOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(HTTP{})
		r.sessions.refused = errRefused
		done := make(chan error)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { done <- r.KeepSession(ctx) }()
		elapse(time.Minute)
		n := len(r.tries())
		if n < 40 || n > 130 { // the back-off ends at a second, give or take half
			t.Errorf("%d tries in a minute", n)
		}
		r.sessionMetrics(t, "0", "0")
		r.sessions.set(func() { r.sessions.refused = nil })
		elapse(1500 * time.Millisecond)
		if !r.session.isUp() {
			t.Error("it is not up soon after etcd's return")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestSessionEndsWhileItIsOpenedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(HTTP{})
		r.sessions.refused = errRefused
		done := make(chan error)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { done <- r.KeepSession(ctx) }()
		synctest.Wait()
		start := time.Now()
		cancel()
		if err := <-done; err != nil || time.Since(start) != 0 {
			t.Errorf("%v after %s", err, time.Since(start))
		}
	})
}

func TestNoSessionWanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(HTTP{})
		r.cfg.HoldSession = false
		if err := r.KeepSession(t.Context()); err != nil || len(r.tries()) != 0 {
			t.Errorf("%v, %d tries", err, len(r.tries()))
		}
	})
}

func TestSayStopping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := inSession(HTTP{})
		if err := r.SayStopping(t.Context()); err != nil {
			t.Error(err)
		}
		if state, lease := r.keys.record(); state != status.NodeStopping || lease != 7 {
			t.Errorf("%s on lease %d", state, lease)
		}
	})
}

func TestSayStoppingWithoutSessionOrEtcd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(HTTP{})
		r.keys.settled = false
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := r.SayStopping(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), "saying in etcd that the agent stops: ") {
			t.Errorf("%v", err)
		}
		if state, _ := r.keys.record(); state != "" {
			t.Errorf("a record %q without a session", state)
		}
	})
}

// A session that is lost and opened anew while the agent stops must not say that
// it runs.
func TestStoppingStandsInANewSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(HTTP{})
		go func() { _ = r.KeepSession(t.Context()) }()
		synctest.Wait()
		if err := r.SayStopping(t.Context()); err != nil {
			t.Error(err)
		}
		r.sessions.lost <- struct{}{}
		elapse(time.Second)
		if state, lease := r.keys.record(); state != status.NodeStopping || lease != 2 {
			t.Errorf("%s on lease %d", state, lease)
		}
	})
}

// Who looks after others is told of each session, and of its end.
func TestLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(HTTP{})
		if lease, _ := r.Lease(); lease != 0 {
			t.Errorf("lease %d before a session", lease)
		}
		_, changed := r.Lease()
		go func() { _ = r.KeepSession(t.Context()) }()
		<-changed
		lease, changed := r.Lease()
		if lease != 1 {
			t.Errorf("lease %d", lease)
		}
		r.sessions.lost <- struct{}{}
		<-changed
		lease, changed = r.Lease()
		if lease != 0 {
			t.Errorf("lease %d after the session", lease)
		}
		<-changed
		if lease, _ = r.Lease(); lease != 2 {
			t.Errorf("lease %d of the next", lease)
		}
	})
}
