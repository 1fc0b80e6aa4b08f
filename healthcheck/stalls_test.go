package healthcheck

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Only from inside can a test make the agent late: synctest's clock never is.

func TestStalls(t *testing.T) {
	const ms = time.Millisecond
	start := time.Now()
	at := func(millis int) time.Time { return start.Add(time.Duration(millis) * ms) }
	var s stalls
	check := func(millis int, want time.Duration) {
		t.Helper()
		if got := s.total(at(millis)); got != want {
			t.Errorf("at %d ms: %s lost, want %s", millis, got, want)
		}
	}
	check(5000, 0) // not begun
	s.mark(at(0), at(100))
	check(50, 0)
	check(149, 0) // ordinary scheduling
	s.mark(at(149), at(149))
	check(150, 0)
	s.mark(at(151), at(200))
	check(320, 120*ms)       // being lost now, and the loop has not noticed
	s.mark(at(350), at(350)) // asleep for 150 ms too long
	check(350, 150*ms)
	s.mark(at(450), at(500)) // awake and held back: a CPU limit strikes those who work
	check(450, 250*ms)
	s.mark(at(460), at(460)) // woken early
	s.mark(at(461), at(600))
	check(600, 250*ms)
}

// A pause within the timeout leaves less time to the container than it was
// promised: then not even its own no counts.
func TestStallVoidsEveryNo(t *testing.T) {
	const timeout = 2 * time.Second
	pass := func(context.Context, time.Duration) Verdict { return Verdict{Pass: true} }
	for _, reason := range []Reason{ReasonTimeout, ReasonHTTPCode, ReasonRefused} {
		for stall, want := range map[time.Duration]bool{0: false, 200 * time.Millisecond: false, 300 * time.Millisecond: true} {
			r := NewRunner(Config{Concurrency: 1}, pass, NewMetrics(prometheus.NewRegistry()))
			now := time.Now()
			r.stalls.mark(now, now)
			a := r.begin(timeout)
			r.stalls.mark(now.Add(stall), now.Add(time.Hour))
			if got := r.void(t.Context(), Fail(reason, "no"), a); got != want {
				t.Errorf("%s after a pause of %s: void is %t", reason, stall, got)
			}
		}
	}
}

// A yes that was read after a long pause may be as old as the pause.
func TestStallVoidsAPassThatIsTooOld(t *testing.T) {
	for stall, want := range map[time.Duration]bool{time.Second: false, 10 * time.Second: true} {
		r := NewRunner(Config{Concurrency: 1}, nil, NewMetrics(prometheus.NewRegistry()))
		now := time.Now()
		r.stalls.mark(now, now)
		a := r.begin(2 * time.Second)
		r.stalls.mark(now.Add(stall), now.Add(time.Hour))
		if got := r.void(t.Context(), Verdict{Pass: true}, a); got != want {
			t.Errorf("after a pause of %s: void is %t", stall, got)
		}
	}
}

// A stranger's connection, silent or not, does not take the control probe's place.
func TestControlAnswersBesideStrangers(t *testing.T) {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	served := make(chan struct{})
	go func() { defer close(served); answerAll(ctx, l) }()
	addr := l.Addr().(*net.TCPAddr).AddrPort()
	for _, says := range []string{"", "", "hello"} {
		conn, err := net.Dial("tcp", addr.String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		_, _ = conn.Write([]byte(says))
	}
	probe := httpProbe{port: addr.Port(), method: "GET", path: "/", codes: codes{{204, 204}}}
	if v := probe.run(ctx, Target{Addr: addr.Addr()}); !v.Pass {
		t.Errorf("%+v", v)
	}
	cancel() // and nobody stays who says nothing
	_ = l.Close()
	<-served
}

// A pause before the probe is none of its business.
func TestStallBeforeDoesNotCount(t *testing.T) {
	r := NewRunner(Config{Concurrency: 1}, nil, NewMetrics(prometheus.NewRegistry()))
	now := time.Now()
	r.stalls.mark(now.Add(-time.Hour), now.Add(-time.Minute))
	r.stalls.mark(now, now.Add(time.Hour))
	if a := r.begin(time.Second); r.void(t.Context(), Fail(ReasonRefused, "no"), a) {
		t.Error("void")
	}
}
