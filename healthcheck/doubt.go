package healthcheck

import (
	"context"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// The agent doubts itself before it blames a container. A verdict is void when
// the agent did not run for long while it was measured (stopped, starved of
// CPU), or when the same question to a listener of the agent's own is answered
// as slowly.

// leastStall is the least pause that counts: shorter ones are ordinary
// scheduling.
const leastStall = 50 * time.Millisecond

// tolerance is how much of a timeout the agent itself may have used up.
func tolerance(timeout time.Duration) time.Duration { return max(timeout/8, leastStall) }

// stalls adds up the time in which the agent wanted to run and did not, as told
// by how late the runner's loop comes to where it said it would be.
type stalls struct {
	mu       sync.Mutex
	sum      time.Duration
	expected time.Time // when the loop marks again; zero before it runs
}

// mark says that the loop runs now and will be back at next, which is now while
// it has work to do: an agent that is held back is held back there too.
func (s *stalls) mark(now, next time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sum += s.lateLocked(now)
	s.expected = next
}

// total is the time lost since the loop began, with what is being lost now:
// whoever wakes first must not miss it.
func (s *stalls) total(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sum + s.lateLocked(now)
}

func (s *stalls) lateLocked(now time.Time) time.Duration {
	if late := now.Sub(s.expected); !s.expected.IsZero() && late >= leastStall {
		return late
	}
	return 0
}

// Control asks a listener of the agent's own, with a budget.
type Control func(ctx context.Context, budget time.Duration) Verdict

// LoopbackControl sends the built-in HTTP probe to a listener on the loopback
// interface that exists only for the length of the call.
func LoopbackControl(ctx context.Context, budget time.Duration) Verdict {
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0)))
	if err != nil {
		return FailFrom("listening for the control probe", err)
	}
	var served sync.WaitGroup
	served.Go(func() { answerOnce(l, budget) })
	defer served.Wait()
	defer func() { _ = l.Close() }()

	addr := l.Addr().(*net.TCPAddr).AddrPort()
	probe := httpProbe{port: addr.Port(), method: "GET", path: "/", codes: codes{{204, 204}}}
	return probe.run(ctx, Target{Addr: addr.Addr()})
}

func answerOnce(l *net.TCPListener, budget time.Duration) {
	conn, err := l.Accept()
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	// Anyone on this machine may connect, and then say nothing.
	_ = conn.SetDeadline(time.Now().Add(budget))
	if _, err := io.ReadAtLeast(conn, make([]byte, 512), 1); err == nil {
		_, _ = conn.Write([]byte("HTTP/1.1 204 No Content\r\n\r\n"))
	}
}

// attempt is the state of the agent at the start of a probe.
type attempt struct {
	start   time.Time
	stalled time.Duration // stalls.total then
	timeout time.Duration
}

func (r *Runner) begin(timeout time.Duration) attempt {
	now := time.Now()
	return attempt{start: now, stalled: r.stalls.total(now), timeout: timeout}
}

// void says whether a negative verdict was measured by an agent that is not
// fit to measure.
func (r *Runner) void(ctx context.Context, v Verdict, a attempt) bool {
	now, allowed := time.Now(), tolerance(a.timeout)
	switch {
	case v.Reason == ReasonAgent, now.Sub(a.start) > a.timeout+allowed, r.stalls.total(now)-a.stalled > allowed:
		return true
	case v.Reason == ReasonRefused, v.Reason == ReasonHTTPCode, v.Reason == ReasonHTTPBody, v.Reason == ReasonAnswer:
		return false // the container said no itself
	default:
		return !r.controlPasses(ctx, allowed)
	}
}

// controlPasses asks once for all that doubt at the same time: a node that lost
// its network would slow its own control probes down, and so never say so.
func (r *Runner) controlPasses(ctx context.Context, budget time.Duration) bool {
	v, _, _ := r.doubts.Do(budget.String(), func() (any, error) { return r.control(ctx, budget), nil })
	return v.(Verdict).Pass
}
