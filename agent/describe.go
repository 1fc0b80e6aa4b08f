package agent

import (
	"encoding/base64"
	"encoding/json"
	"net/netip"
	"strconv"

	"github.com/projecteru2/eru-agent/foreign"
)

// maxLabels is the size of labels above which they are not published, in bytes
// of JSON.
const maxLabels = 16 << 10

// describe writes the facts of a container into its status; the state is not
// theirs to change.
func (a *Agent) describe(l *life) {
	s := &l.status
	s.Name = foreign.Text(l.c.Name)
	s.Networks = named(l.c.Networks)
	if l.c.Host && a.cfg.NodeIP.IsValid() {
		s.Networks["host"] = a.cfg.NodeIP.String()
	}
	s.Endpoints = a.endpoints(l)
	a.describeCheck(l)
	a.understand(l)
	if a.cfg.Extension && s.Extension == "" {
		s.Extension = extension(l.c.Labels)
	}
}

// describeCheck says how others ask the container, anew only where that has
// changed: Docker tells the same facts many times.
func (a *Agent) describeCheck(l *life) {
	same := l.asks != nil && l.asks.from == l.c.Addr
	for i, p := range l.check.Probes {
		same = same && l.asks.at[i] == a.endpoint(l, p.Port)
	}
	if same {
		return
	}
	l.asks = &asks{from: l.c.Addr}
	for _, p := range l.check.Probes {
		l.asks.at = append(l.asks.at, a.endpoint(l, p.Port))
	}
	l.status.Check = l.check.Describe(l.c.Addr, func(port uint16) netip.AddrPort { return a.endpoint(l, port) })
}

// asks is what a life's check was last described from.
type asks struct {
	from netip.Addr
	at   []netip.AddrPort // of each probe
}

// endpoints says for each published container port what a proxy on another
// host dials: where the node publishes it, else the container itself.
func (a *Agent) endpoints(l *life) map[string]string {
	found := map[string]string{}
	for _, port := range l.check.Publish {
		if to := a.endpoint(l, port); to.IsValid() {
			found[strconv.Itoa(int(port))] = to.String()
		}
	}
	return found
}

func (a *Agent) endpoint(l *life, port uint16) netip.AddrPort {
	if at, ok := l.c.Published[port]; ok {
		if !at.Addr().IsUnspecified() {
			return at
		}
		if a.cfg.NodeIP.IsValid() {
			return netip.AddrPortFrom(a.cfg.NodeIP, at.Port())
		}
	}
	addr := l.c.Addr
	if l.c.Host && addr.IsValid() {
		addr = a.cfg.NodeIP
	}
	if !addr.IsValid() {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(addr, port)
}

func extension(labels map[string]string) string {
	if labels == nil {
		labels = map[string]string{}
	}
	b, err := json.Marshal(labels) // map keys come out sorted: the same labels make the same value
	if err != nil || len(b) > maxLabels {
		return ""
	}
	return base64.StdEncoding.EncodeToString(b)
}
