package healthcheck_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/projecteru2/eru-agent/healthcheck"
)

func tooSlow(context.Context, time.Duration) healthcheck.Verdict {
	return healthcheck.Fail(healthcheck.ReasonTimeout, "no answer in time")
}

// failing answers at once with one reason.
func failing(reason healthcheck.Reason) func(context.Context, int) healthcheck.Verdict {
	return func(context.Context, int) healthcheck.Verdict { return healthcheck.Fail(reason, "so it is") }
}

func TestWhichVerdictsAreVoid(t *testing.T) {
	late := func(ctx context.Context, n int) healthcheck.Verdict {
		v := hang(ctx, n)
		sleep(300 * ms) // more than an eighth of the timeout
		return v
	}
	latePass := func(context.Context, int) healthcheck.Verdict {
		sleep(2300 * ms) // stopped, and then it read what had waited
		return healthcheck.Verdict{Pass: true}
	}
	matched := func(context.Context, int) healthcheck.Verdict {
		v := healthcheck.Fail(healthcheck.ReasonHTTPBody, "not found")
		v.Timings.Total = 1900 * ms
		sleep(2300 * ms)
		return v
	}
	noDescriptors := func(context.Context, int) healthcheck.Verdict {
		return healthcheck.FailFrom("connecting", os.NewSyscallError("socket", syscall.EMFILE))
	}
	tests := map[string]struct {
		answer  func(context.Context, int) healthcheck.Verdict
		control healthcheck.Control
		void    bool
	}{
		"timeout of a fit agent":      {answer: hang, control: passing},
		"timeout of a slow agent":     {answer: hang, control: tooSlow, void: true},
		"verdict after the timeout":   {answer: late, control: passing, void: true},
		"no descriptors":              {answer: noDescriptors, control: passing, void: true},
		"500 of a slow agent":         {answer: failing(healthcheck.ReasonHTTPCode), control: tooSlow},
		"bad body of a slow agent":    {answer: failing(healthcheck.ReasonHTTPBody), control: tooSlow},
		"refusal of a slow agent":     {answer: failing(healthcheck.ReasonRefused), control: tooSlow},
		"no of a slow agent":          {answer: failing(healthcheck.ReasonAnswer), control: tooSlow},
		"reset of a slow agent":       {answer: failing(healthcheck.ReasonReset), control: tooSlow, void: true},
		"reset of a fit agent":        {answer: failing(healthcheck.ReasonReset), control: passing},
		"TLS of a slow agent":         {answer: failing(healthcheck.ReasonTLS), control: tooSlow, void: true},
		"unreachable, slow agent":     {answer: failing(healthcheck.ReasonUnreachable), control: tooSlow, void: true},
		"garbage of a slow agent":     {answer: failing(healthcheck.ReasonHTTPProtocol), control: tooSlow, void: true},
		"a pass of a slow agent":      {answer: pass, control: tooSlow},
		"a no after a long match":     {answer: matched, control: passing},
		"a pass after the timeout":    {answer: latePass, control: passing, void: true},
		"a pass just before the end":  {answer: lasting(1990 * ms), control: tooSlow},
		"unreachable, and agent fit":  {answer: failing(healthcheck.ReasonUnreachable), control: passing},
		"garbage, and the agent fit":  {answer: failing(healthcheck.ReasonHTTPProtocol), control: passing},
		"TLS fault, and agent is fit": {answer: failing(healthcheck.ReasonTLS), control: passing},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, config(), tt.control, func(t *testing.T, b *bubble) {
				b.Set(healthcheck.Job{ID: "a", Check: newScript(tt.answer).check(5*time.Second, 2*time.Second, 1)})
				b.sleep(2400 * ms)
				got := b.got()
				if len(got) == 0 || got[0].Void != tt.void {
					t.Errorf("void is not %t: %+v", tt.void, got)
				}
			})
		})
	}
}

// A void verdict does not end the care for the container.
func TestAfterVoidItIsAskedAgain(t *testing.T) {
	inBubble(t, config(), tooSlow, func(t *testing.T, b *bubble) {
		s := newScript(hang)
		b.Set(healthcheck.Job{ID: "a", Check: s.check(5*time.Second, time.Second, 1), Passed: true})
		b.sleep(10 * time.Second)
		if n := len(s.times(b.start)); n < 4 {
			t.Errorf("%d probes in 10 s", n)
		}
	})
}

// A pass that is void is no reason to wait for a whole interval.
func TestAfterAVoidPassItIsAskedSoon(t *testing.T) {
	for passed, soon := range map[bool]time.Duration{true: time.Second, false: 200 * ms} {
		inBubble(t, config(), passing, func(t *testing.T, b *bubble) {
			s := newScript(func(context.Context, int) healthcheck.Verdict {
				sleep(1300 * ms)
				return healthcheck.Verdict{Pass: true}
			})
			b.Set(healthcheck.Job{ID: "a", Check: s.check(5*time.Second, time.Second, 1), Passed: passed})
			b.sleep(4 * time.Second)
			times, got := s.times(b.start), b.got()
			if len(times) < 2 || times[1]-times[0] > 1300*ms+soon || !got[0].Void {
				t.Errorf("passed before: %t, asked at %v, %+v", passed, times, got)
			}
		})
	}
}

// When many time out at once, one control probe speaks for all: hundreds side by
// side would slow each other, and the failure would never be believed.
func TestMassFailureIsBelieved(t *testing.T) {
	var controls, under atomic.Int64
	control := func(_ context.Context, budget time.Duration) healthcheck.Verdict {
		controls.Add(1)
		defer under.Add(-1)
		if sleep(time.Duration(under.Add(1)) * 10 * ms); under.Load() > 5 {
			return healthcheck.Fail(healthcheck.ReasonTimeout, "over %s", budget)
		}
		return healthcheck.Verdict{Pass: true}
	}
	inBubble(t, config(), control, func(t *testing.T, b *bubble) {
		for i := range 200 {
			b.Set(healthcheck.Job{ID: fmt.Sprint(i), Check: newScript(hang).check(5*time.Second, 400*ms, 1)})
		}
		b.sleep(550 * ms)
		got := b.got()
		for _, res := range got {
			if res.Void {
				t.Fatalf("void: %+v", res)
			}
		}
		if len(got) != 200 || controls.Load() > 2 {
			t.Errorf("%d verdicts, %d control probes", len(got), controls.Load())
		}
	})
}

func TestLoopbackControl(t *testing.T) {
	if v := healthcheck.LoopbackControl(t.Context(), prompt); !v.Pass || v.Timings.FirstByte == 0 {
		t.Errorf("%+v", v)
	}
	if v := healthcheck.LoopbackControl(t.Context(), 0); v.Pass {
		t.Errorf("passed in no time: %+v", v)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if v := healthcheck.LoopbackControl(ctx, prompt); v.Pass {
		t.Errorf("passed after its end: %+v", v)
	}
}

// starveVar makes a copy of this test program run probeWithoutDescriptors.
const starveVar = "HEALTHCHECK_TEST_STARVE"

func TestWithoutDescriptorsNobodyIsBlamed(t *testing.T) {
	c := listen(t, "127.0.0.1", saying(ok))
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), starveVar+"="+strconv.Itoa(int(c.addr.Port())))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %s", err, out)
	}
	var lines []string
	for s := bufio.NewScanner(strings.NewReader(string(out))); s.Scan(); {
		lines = append(lines, s.Text())
	}
	want := []string{
		"http pass=true reason= void=false", "tcp pass=true reason= void=false", "refused pass=false reason=connect_refused void=false",
		"http pass=false reason=agent void=true", "tcp pass=false reason=agent void=true", "refused pass=false reason=agent void=true",
	}
	if strings.Join(lines, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", out, strings.Join(want, "\n"))
	}
}

// probeWithoutDescriptors probes a port that serves and one that does not,
// before and after it has used up its descriptors.
func probeWithoutDescriptors() {
	probeOnce() // so that the poller has its own
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 64, Max: 64}); err != nil {
		fmt.Println(err)
		return
	}
	var held []*os.File
	for {
		f, err := os.Open(os.DevNull)
		if errors.Is(err, syscall.EMFILE) {
			break
		}
		held = append(held, f)
	}
	probeOnce()
	for _, f := range held {
		_ = f.Close()
	}
}

func probeOnce() {
	parser := healthcheck.NewParser(config())
	runner := healthcheck.NewRunner(config(), healthcheck.LoopbackControl, newMetrics())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- runner.Run(ctx) }()
	port := os.Getenv(starveVar)
	for _, job := range []struct{ id, label, port string }{
		{"http", "eru.health.http.port", port}, {"tcp", "eru.health.tcp.ports", port}, {"refused", "eru.health.tcp.ports", "1"},
	} {
		check, err := parser.Parse(labels{job.label: job.port})
		if err != nil {
			fmt.Println(err)
			continue
		}
		runner.Set(healthcheck.Job{ID: job.id, Check: check, Target: healthcheck.Target{Addr: netip.MustParseAddr("127.0.0.1")}})
		res := <-runner.Results()
		fmt.Printf("%s pass=%t reason=%s void=%t\n", res.ID, res.Verdict.Pass, res.Verdict.Reason, res.Void)
		runner.Remove(job.id)
	}
	cancel()
	if err := <-ended; err != nil {
		fmt.Println(err)
	}
}
