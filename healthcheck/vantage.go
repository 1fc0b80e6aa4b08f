package healthcheck

import (
	"context"
	"net/netip"

	"github.com/projecteru2/eru-agent/foreign"
)

// Via is from where a container is asked.
type Via string

// The vantages. Inside is the container's network namespace.
const (
	ViaHost  Via = "host"
	ViaNetns Via = "netns"
	ViaBoth  Via = "both" // healthy only if both pass
)

// Inside says whether some of the check is asked from inside, so that its
// Target needs a Namespace.
func (c Check) Inside() bool { return c.Via == ViaNetns || c.Via == ViaBoth }

// At is where a container is asked that has the address addr for this node: its
// own loopback interface if it is asked from inside alone, has no address, and
// no label names a network.
func (c Check) At(addr netip.Addr) netip.Addr {
	if !addr.IsValid() && c.Via == ViaNetns && !c.network {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return addr
}

// vantages is how many sockets one probe takes.
func (c Check) vantages() int {
	if c.Via == ViaBoth {
		return 2
	}
	return 1
}

// run asks from where the check wants it.
func (p Probe) run(ctx context.Context, via Via, t Target) Verdict {
	outside := t
	outside.Inside = nil
	switch {
	case via != ViaNetns && via != ViaBoth:
		return p.Run(ctx, outside)
	case t.Inside == nil:
		return Fail(ReasonAgent, "nobody opened the container's network namespace")
	case via == ViaNetns:
		return p.Run(ctx, t)
	}
	return p.both(ctx, t, outside)
}

// both asks from inside and from the host side by side. What fails inside is the
// application's, so the host's answer is not waited for.
func (p Probe) both(ctx context.Context, inside, outside Target) Verdict {
	asking, cancel := context.WithCancel(ctx)
	defer cancel()
	answer := make(chan Verdict, 1)
	go func() { answer <- p.Run(asking, outside) }()
	in := p.Run(ctx, inside)
	if !in.Pass {
		cancel()
		<-answer
		return in.from("inside: ")
	}
	out := <-answer
	switch {
	case out.Pass:
		if in.worse(out, true) {
			return in
		}
		return out
	case out.Reason == ReasonAgent:
		return out
	default:
		broken := Fail(ReasonNetwork, "it passes inside, but from the host: %s: %s", out.Reason, out.Detail)
		broken.Timings = out.Timings
		return broken
	}
}

func (v Verdict) from(where string) Verdict {
	if v.Reason != ReasonCapability && v.Reason != ReasonAgent {
		v.Detail = foreign.Text(where + v.Detail)
	}
	return v
}
