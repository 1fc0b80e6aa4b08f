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
	served.Go(func() { answerAll(ctx, l) })
	defer served.Wait()
	defer func() { _ = l.Close() }()
	defer cancel() // lets go of strangers

	addr := l.Addr().(*net.TCPAddr).AddrPort()
	probe := httpProbe{port: addr.Port(), method: "GET", path: "/", codes: codes{{204, 204}}}
	return probe.run(ctx, Target{Addr: addr.Addr()})
}

// answerAll serves until l is closed: anyone on this machine may connect.
func answerAll(ctx context.Context, l *net.TCPListener) {
	var all sync.WaitGroup
	defer all.Wait()
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		all.Go(func() { answer(ctx, conn) })
	}
}

// answer closes conn when ctx ends, if nothing was asked by then.
func answer(ctx context.Context, conn net.Conn) {
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(0, 0)) })()
	if _, err := io.ReadAtLeast(conn, make([]byte, 512), 1); err == nil {
		_, _ = conn.Write([]byte("HTTP/1.1 204 No Content\r\n\r\n"))
	}
}

// attempt is the state of the agent at the start of a probe.
type attempt struct {
	stalled time.Duration // stalls.total then
	timeout time.Duration
}

func (r *Runner) begin(timeout time.Duration) attempt {
	return attempt{stalled: r.stalls.total(time.Now()), timeout: timeout}
}

// void says whether a verdict was measured by an agent that is not fit to
// measure. A pass is believed unless it is older than the timeout: being slow
// does not make a yes of a no.
func (r *Runner) void(ctx context.Context, v Verdict, a attempt) bool {
	allowed, stalled := tolerance(a.timeout), r.stalls.total(time.Now())-a.stalled
	switch {
	case max(v.Timings.Total, stalled) > a.timeout+allowed:
		return true
	case v.Pass:
		return false
	case v.Reason == ReasonAgent, stalled > allowed:
		return true
	case v.Reason == ReasonRefused, v.Reason == ReasonHTTPCode, v.Reason == ReasonHTTPBody, v.Reason == ReasonAnswer:
		return false // the container said no itself
	case v.Reason == ReasonCapability:
		return false // and nobody was asked
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
