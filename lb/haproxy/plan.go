package haproxy

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/projecteru2/eru-agent/lb"
	"github.com/projecteru2/eru-agent/status"
)

// wish is what a backend shall have: its servers that get requests, and how. A
// server is its address; all others get none.
type wish map[netip.AddrPort]mode

// wanted returns what route's backend shall have of s.
func wanted(route lb.Route, s *status.Service) wish {
	w := wish{}
	for _, server := range s.Servers {
		at, ok := route.Endpoint(server)
		if !ok {
			continue
		}
		// Of two containers at one address one is gone, and the other has it now.
		switch server.Use {
		case status.UseReady:
			w[at] = ready
		case status.UseDrain:
			w[at] = max(w[at], drain)
		}
	}
	for at, m := range w {
		if m == maint {
			delete(w, at)
		}
	}
	return w
}

// slots are the servers of one backend that are ours: those of the template, and
// those that were added when these were used up.
type slots struct {
	backend string
	prefix  string // of the names of ours
	add     string // settings of a server that is added
	rows    []row
}

// ours says whether a server is of the template, which numbers them, or was
// added.
func (s slots) ours(name string) bool {
	rest, ok := strings.CutPrefix(name, s.prefix)
	return ok && (strings.Trim(rest, "0123456789") == "" && rest != "" || s.added(name))
}

func (s slots) added(name string) bool { return strings.HasPrefix(name, s.prefix+"-") }

// plan is what HAProxy is to be told.
type plan struct {
	cuts []string // first: what gets less
	adds []string // what gets more
	tidy []string // last: what need not succeed
}

// plan returns the differences between what stands and what is wished for.
func (s slots) plan(w wish) plan {
	var p plan
	var free []row
	placed := map[netip.AddrPort]bool{}
	for _, r := range s.rows {
		want, wished := w[r.at]
		switch {
		case !s.ours(r.name):
		case wished && !placed[r.at]:
			placed[r.at] = true
			p.change(r, want)
		case s.added(r.name):
			p.close(r)
			p.tidy = append(p.tidy, "del server "+r.path())
		default:
			p.close(r)
			free = append(free, r)
		}
	}
	slices.SortFunc(free, byRest)
	for _, at := range missing(w, placed) {
		if len(free) == 0 {
			p.adds = append(p.adds, s.adding(at, w[at])...)
			continue
		}
		p.adds = append(p.adds, free[0].taking(at, w[at])...)
		free = free[1:]
	}
	return p
}

// byRest orders free slots: those that never had an address, then those that
// have rested longest, then those that had requests until now.
func byRest(a, b row) int {
	return cmp.Or(cmp.Compare(a.unrest(), b.unrest()), cmp.Compare(b.changed, a.changed))
}

func (r row) unrest() int {
	switch {
	case !r.at.IsValid():
		return 0
	case r.mode == maint:
		return 1
	default:
		return 2
	}
}

// missing returns what is wished for and has no place, those that get requests
// first.
func missing(w wish, placed map[netip.AddrPort]bool) []netip.AddrPort {
	var m []netip.AddrPort
	for at := range w {
		if !placed[at] {
			m = append(m, at)
		}
	}
	slices.SortFunc(m, func(a, b netip.AddrPort) int { return cmp.Or(cmp.Compare(w[b], w[a]), a.Compare(b)) })
	return m
}

func (r row) path() string { return r.backend + "/" + r.name }

// change brings a server that has its address already to mode and weight.
func (p *plan) change(r row, want mode) {
	if r.weight != r.configured {
		p.adds = append(p.adds, fmt.Sprintf("set server %s weight 100%%", r.path()))
	}
	switch {
	case r.mode == want:
	case want < r.mode:
		p.cuts = append(p.cuts, r.entering(want))
	default:
		p.adds = append(p.adds, r.entering(want))
	}
}

func (p *plan) close(r row) {
	if r.mode != maint {
		p.cuts = append(p.cuts, r.entering(maint))
	}
}

func (r row) entering(m mode) string { return fmt.Sprintf("set server %s state %s", r.path(), m) }

// taking gives a free slot another address, while it gets no requests.
func (r row) taking(at netip.AddrPort, m mode) []string {
	commands := []string{fmt.Sprintf("set server %s addr %s port %d", r.path(), at.Addr(), at.Port())}
	if r.weight != r.configured {
		commands = append(commands, fmt.Sprintf("set server %s weight 100%%", r.path()))
	}
	return append(commands, r.entering(m))
}

// adding makes a server that has no slot.
func (s slots) adding(at netip.AddrPort, m mode) []string {
	name := fmt.Sprintf("%s-%s_%d", s.prefix, strings.ReplaceAll(at.Addr().String(), ":", "."), at.Port())
	r := row{backend: s.backend, name: name}
	commands := []string{strings.TrimSpace(fmt.Sprintf("add server %s %s %s", r.path(), at, s.add))}
	if slices.Contains(strings.Fields(s.add), "check") {
		commands = append(commands, "enable health "+r.path())
	}
	return append(commands, r.entering(m))
}

// lacks returns what stands otherwise than is wished for, "" for nothing.
func (s slots) lacks(w wish) string {
	placed := map[netip.AddrPort]bool{}
	for _, r := range s.rows {
		want, wished := w[r.at]
		switch {
		case !s.ours(r.name):
		case wished && !placed[r.at]:
			placed[r.at] = true
			if r.mode != want || r.weight != r.configured {
				return fmt.Sprintf("server %s at %s is in state %s with weight %d of %d, and was to be %s", r.name, r.at, r.mode, r.weight, r.configured, want)
			}
		case r.mode != maint:
			return fmt.Sprintf("server %s at %s is in state %s, and was to be in maint", r.name, r.at, r.mode)
		}
	}
	if m := missing(w, placed); len(m) > 0 {
		return fmt.Sprintf("no server is at %s", m[0])
	}
	return ""
}

// full says that each slot of the template is used.
func (s slots) full() bool {
	return !slices.ContainsFunc(s.rows, func(r row) bool { return s.ours(r.name) && !s.added(r.name) && r.mode == maint })
}

// ValidPrefix says whether names of servers may begin with s, with a number or
// an address after it.
func ValidPrefix(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.") == ""
}

// ValidSettings says whether s can stand in a command: it is one line, and no
// command follows it.
func ValidSettings(s string) bool { return len(s) <= 1024 && !strings.ContainsAny(s, ";\n\r<") }
