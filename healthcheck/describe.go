package healthcheck

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxDescription bounds what stands of a check in its container's status, in
// bytes.
const maxDescription = 4 << 10

// description is how a container's own check is asked from another host: the
// settings that made it, so that the same Prober makes it again there.
type description struct {
	Interval text        `json:"interval"`
	Timeout  text        `json:"timeout"`
	Probes   []described `json:"probes"`
}

// described is one kind of probe.
type described struct {
	Kind     string            `json:"kind"`
	Settings map[string]string `json:"settings"`
	// At is where other hosts dial each of the container's ports.
	At map[string]netip.AddrPort `json:"at"`
}

// text is a duration as people write it.
type text time.Duration

func (d text) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

func (d *text) UnmarshalText(b []byte) error {
	parsed, err := time.ParseDuration(string(b))
	*d = text(parsed)
	return err
}

// Describe encodes the check as another host makes it, where at says what is
// dialled there for a port; the zero AddrPort is nothing. addr is where this node
// reaches the container: it stands in what an HTTP probe says of its host, so
// that the container is asked the same question. Describe returns nil for a check
// that cannot be asked from elsewhere: it has no probes, is asked from inside alone, has
// a port that nobody else can dial, or is too large. Of one that is asked from
// both sides it is the host's.
func (c Check) Describe(addr netip.Addr, at func(port uint16) netip.AddrPort) []byte {
	if c.Via == ViaNetns {
		return nil
	}
	d := description{Interval: text(c.Interval), Timeout: text(c.Timeout)}
	for _, s := range c.asked {
		one := described{Kind: s.kind, Settings: s.plain(), At: map[string]netip.AddrPort{}}
		for _, p := range c.Probes {
			if p.Kind != s.kind {
				continue
			}
			to := at(p.Port)
			if !to.IsValid() || to.Port() == 0 {
				return nil
			}
			one.At[strconv.Itoa(int(p.Port))] = to
			if s.kind == kindHTTP && one.Settings["host"] == "" {
				one.Settings["host"] = netip.AddrPortFrom(addr, p.Port).String()
			}
		}
		if len(one.At) == 0 {
			return nil
		}
		d.Probes = append(d.Probes, one)
	}
	if len(d.Probes) == 0 {
		return nil
	}
	b, err := json.Marshal(d)
	if err != nil || len(b) > maxDescription {
		return nil
	}
	return b
}

// plain are the settings without where they come from.
func (s *Settings) plain() map[string]string {
	values := make(map[string]string, len(s.values))
	for key, v := range s.values {
		values[key] = v.value
	}
	return values
}

// Recall reads what Describe wrote, on another host perhaps, and makes its
// probes. The error says why it cannot be asked from here: a kind that this agent
// does not know, say. What is shorter or longer than the limits of a label is
// brought within them.
func (p *Parser) Recall(encoded []byte) (Check, Target, error) {
	var d description
	if len(encoded) > maxDescription {
		return Check{}, Target{}, fmt.Errorf("reading a check: %d bytes, at most %d are read", len(encoded), maxDescription)
	}
	if err := json.Unmarshal(encoded, &d); err != nil {
		return Check{}, Target{}, fmt.Errorf("reading a check: %w", err)
	}
	check := Check{
		Interval: min(max(time.Duration(d.Interval), p.cfg.MinInterval), MaxInterval),
		Timeout:  min(max(time.Duration(d.Timeout), MinTimeout), MaxTimeout),
	}
	target := Target{Ports: map[uint16]netip.AddrPort{}}
	for _, one := range d.Probes {
		probes, settings, err := p.recallKind(one)
		if err != nil {
			return Check{}, Target{}, fmt.Errorf("reading a check: %w", err)
		}
		for _, probe := range probes {
			to := one.At[strconv.Itoa(int(probe.Port))]
			if !to.IsValid() || to.Port() == 0 || to.Addr().IsUnspecified() || to.Addr().IsMulticast() {
				return Check{}, Target{}, fmt.Errorf("reading a check: %s: port %d is at %q, want an address and a port", probe.Kind, probe.Port, to)
			}
			if was, twice := target.Ports[probe.Port]; twice && was != to {
				return Check{}, Target{}, fmt.Errorf("reading a check: port %d is at %s and at %s", probe.Port, was, to)
			}
			target.Ports[probe.Port], target.Addr = to, to.Addr()
		}
		check.Probes, check.asked = append(check.Probes, probes...), append(check.asked, settings)
	}
	if len(check.Probes) == 0 {
		return Check{}, Target{}, errors.New("reading a check: it has no probes")
	}
	return check, target, nil
}

func (p *Parser) recallKind(one described) ([]Probe, *Settings, error) {
	i := slices.IndexFunc(p.probers, func(known Prober) bool { return known.Kind() == one.Kind })
	if i < 0 {
		return nil, nil, fmt.Errorf("a probe of kind %.64q, which this agent does not know: %s", one.Kind, strings.Join(p.kinds(), ", "))
	}
	s := newSettings(one.Kind)
	for _, key := range slices.Sorted(maps.Keys(one.Settings)) {
		s.values[key] = setting{value: one.Settings[key], from: LabelPrefix + one.Kind + "." + key}
	}
	probes, err := p.probers[i].Parse(s)
	if err == nil {
		err = s.unread()
	}
	return probes, s, err
}

// Places are what is dialled for the check, each once, in order.
func (t Target) Places() []netip.AddrPort {
	places := slices.SortedFunc(maps.Values(t.Ports), netip.AddrPort.Compare)
	return slices.Compact(places)
}
