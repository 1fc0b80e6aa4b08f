package canary_test

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/projecteru2/eru-agent/healthcheck"
	"github.com/projecteru2/eru-agent/selfmon/canary"
	"github.com/projecteru2/eru-agent/status"
)

// rig is a Canary between fakes of all that it meets, which it is itself.
type rig struct {
	*canary.Canary
	t     *testing.T
	reg   *prometheus.Registry
	logs  *observer.ObservedLogs
	lease int64

	shown chan bool

	mu        sync.Mutex
	jobs      []healthcheck.Job
	written   []status.Canary
	leases    []int64
	tell      func(status.Canary)
	followers int
}

func (r *rig) Addr() netip.AddrPort { return netip.MustParseAddrPort("127.0.0.1:4321") }

func (r *rig) Show(healthy bool) { r.shown <- healthy }

func (r *rig) Set(j healthcheck.Job) { r.jobs = append(r.jobs, j) }

func (r *rig) SetCanary(c status.Canary, lease int64) {
	r.written, r.leases = append(r.written, c), append(r.leases, lease)
}

func (r *rig) FollowCanary(ctx context.Context, _ string, tell func(status.Canary)) error {
	r.mu.Lock()
	r.tell = tell
	r.followers++
	r.mu.Unlock()
	<-ctx.Done()
	return nil
}

func (r *rig) Lease() (int64, <-chan struct{}) { return r.lease, nil }

// inBubble runs test with a Canary that flips about once a minute.
func inBubble(t *testing.T, test func(*testing.T, *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zapcore.WarnLevel)
		r := &rig{t: t, reg: prometheus.NewPedanticRegistry(), logs: logs, lease: 7, shown: make(chan bool, 1)}
		r.Canary = canary.New("n1", time.Minute, r, r, r, r, r, zap.New(core), r.reg)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			if err := r.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		test(t, r)
		cancel()
		running.Wait()
	})
}

// elapse lets d go by on the bubble's clock.
func elapse(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // synctest's clock
	synctest.Wait()
}

// flips waits for the next flip.
func (r *rig) flips() bool {
	healthy := <-r.shown
	synctest.Wait()
	return healthy
}

// judge hands in a verdict of now.
func (r *rig) judge(pass bool) {
	r.Judge(healthcheck.Result{ID: canary.ID, Verdict: healthcheck.Verdict{Pass: pass}, At: time.Now()})
}

// hear tells what was written last.
func (r *rig) hear() { r.tell(r.written[len(r.written)-1]) }

// metric is one of the canary's.
func (r *rig) metric(name string) *dto.MetricFamily {
	r.t.Helper()
	families, err := r.reg.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	i := slices.IndexFunc(families, func(f *dto.MetricFamily) bool { return f.GetName() == "eru_agent_canary_"+name })
	if i < 0 {
		r.t.Fatalf("there is no %s", name)
	}
	return families[i]
}

// counts holds the flips that are over, and how many came how far.
func (r *rig) counts(seen, missed float64, stages ...uint64) {
	r.t.Helper()
	want := map[string]float64{"seen": seen, "missed": missed}
	for _, m := range r.metric("flips_total").GetMetric() {
		if result := m.GetLabel()[0].GetValue(); m.GetCounter().GetValue() != want[result] {
			r.t.Errorf("%v flips are %s, want %v", m.GetCounter().GetValue(), result, want[result])
		}
	}
	for i, name := range []string{"detect_seconds", "publish_seconds", "watch_seconds"} {
		if got := r.metric(name).GetMetric()[0].GetHistogram().GetSampleCount(); got != stages[i] {
			r.t.Errorf("%s counts %d, want %d", name, got, stages[i])
		}
	}
}

// reasons are those that the log gives for misses.
func (r *rig) reasons() []any {
	var list []any
	for _, line := range r.logs.All() {
		list = append(list, line.ContextMap()["because"])
	}
	return list
}

func TestFlipIsFollowed(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.judge(true)
		if r.flips() {
			t.Error("the first flip is to healthy")
		}
		r.judge(true) // of a probe that was answered before
		elapse(3 * time.Second)
		judged := time.Now()
		r.judge(false)
		elapse(20 * time.Millisecond)
		r.hear() // etcd's answer may come after its word
		elapse(10 * time.Millisecond)
		r.Published(1, time.Now())
		r.judge(false) // and is asked on
		r.Published(1, time.Now())
		r.hear()
		want := status.Canary{State: status.StateUnhealthy, Seq: 1, At: judged}
		if !slices.Equal(r.written, []status.Canary{want}) || r.leases[0] != 7 {
			t.Errorf("written %+v on leases %v", r.written, r.leases)
		}
		r.counts(1, 0, 1, 1, 1)
		for name, want := range map[string]float64{"detect_seconds": 3, "publish_seconds": 0.03, "watch_seconds": 0.02} {
			if got := r.metric(name).GetMetric()[0].GetHistogram().GetSampleSum(); got != want {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
		if !r.flips() {
			t.Error("the second flip is to unhealthy")
		}
		r.judge(true)
		r.Published(1, time.Now()) // the former one, late
		r.counts(1, 0, 2, 1, 1)
		r.Published(2, time.Now())
		r.hear()
		r.counts(2, 0, 2, 2, 2)
		if r.written[1].State != status.StateHealthy || len(r.written) != 2 || r.logs.Len() > 0 {
			t.Errorf("written %+v, said %v", r.written, r.reasons())
		}
		if got := r.metric("last_seen_timestamp_seconds").GetMetric()[0].GetGauge().GetValue(); got != float64(time.Now().UnixNano())/1e9 {
			t.Errorf("last seen at %v", got)
		}
	})
}

func TestFlipIsMissed(t *testing.T) {
	for name, tt := range map[string]struct {
		flip    func(r *rig)
		because string
		stages  [2]uint64
		anew    bool
	}{
		"nobody asks":         {func(*rig) {}, "no probe has found it", [2]uint64{}, false},
		"the agent is unfit":  {func(r *rig) { r.Judge(healthcheck.Result{Void: true, At: time.Now()}) }, "no probe has found it", [2]uint64{}, false},
		"a verdict of before": {func(r *rig) { r.Judge(healthcheck.Result{At: time.Now().Add(-time.Second)}) }, "no probe has found it", [2]uint64{}, false},
		"the former answer":   {func(r *rig) { r.judge(true) }, "no probe has found it", [2]uint64{}, false},
		"no session":          {func(r *rig) { r.lease = 0; r.judge(false) }, "the node's session in etcd is not held", [2]uint64{1}, false},
		"etcd is away":        {func(r *rig) { r.judge(false) }, "etcd has not taken it", [2]uint64{1}, false},
		"the watch is silent": {func(r *rig) { r.judge(false); r.Published(1, time.Now()) },
			"etcd's watch has told nothing of what etcd has taken", [2]uint64{1, 1}, true},
		"an earlier agent's flip": {func(r *rig) {
			r.judge(false)
			r.Published(1, time.Now())
			r.tell(status.Canary{State: status.StateUnhealthy, Seq: 1, At: time.Now().Add(-time.Hour)})
		}, "etcd's watch has told nothing of what etcd has taken", [2]uint64{1, 1}, true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.flips()
				tt.flip(r)
				r.counts(0, 0, tt.stages[0], tt.stages[1], 0)
				r.flips()
				r.counts(0, 1, tt.stages[0], tt.stages[1], 0)
				r.flips() // the next one as well, of which nothing is said
				r.counts(0, 2, tt.stages[0], tt.stages[1], 0)
				if got := r.reasons(); len(got) != 1 || got[0] != tt.because {
					t.Errorf("said %q, want %q", got, tt.because)
				}
				if anew := r.followers > 1; anew != tt.anew {
					t.Errorf("the watch was begun %d times", r.followers)
				}
				r.lease = 8
				r.judge(false)
				r.Published(3, time.Now())
				r.hear()
				r.counts(1, 2, tt.stages[0]+1, tt.stages[1]+1, 1)
				r.flips()
				r.flips()
				if got := r.reasons(); len(got) != 2 || got[1] != "no probe has found it" {
					t.Errorf("said %q", got)
				}
			})
		})
	}
}

// TestFlipsKeepNoStep with anything.
func TestFlipsKeepNoStep(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		waits := map[time.Duration]bool{}
		for range 20 {
			since := time.Now()
			r.flips()
			wait := time.Since(since)
			if waits[wait] = true; wait < 54*time.Second || wait > 66*time.Second {
				t.Errorf("it flips after %s", wait)
			}
		}
		if len(waits) < 10 {
			t.Errorf("it flips after %v", waits)
		}
	})
}

// TestCare puts the target under care as a container that labels nothing but its port.
func TestCare(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		for _, interval := range []time.Duration{5 * time.Second, 3 * time.Second, time.Hour} {
			if err := r.Care(healthcheck.NewParser(healthcheck.Config{Interval: interval, Timeout: time.Second})); err != nil {
				t.Fatal(err)
			}
			r.flips()
		}
		first, second, third := r.jobs[0], r.jobs[1], r.jobs[2]
		if first.ID != "canary" || first.Target.Addr != r.Addr().Addr() || len(first.Check.Probes) != 1 || first.Check.Probes[0].Kind != "canary" || first.Check.Probes[0].Port != 4321 {
			t.Errorf("under care is %+v", first)
		}
		if first.Check.Interval != 5*time.Second || first.Passed || second.Check.Interval != 3*time.Second || !second.Passed {
			t.Errorf("at first %+v, then %+v", first, second)
		}
		if third.Check.Interval != 30*time.Second { // as after a reload that the canary's own interval waits with
			t.Errorf("with a default that is longer than its own interval %+v", third)
		}
	})
}
