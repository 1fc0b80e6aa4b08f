package status

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// serviceName names a service.
type serviceName struct{ app, entrypoint string }

// machine turns changes and time into services. It has no clock, and speaks to
// nobody: the same changes at the same times make the same services.
type machine struct {
	rules  rules
	pools  map[serviceName]*pool
	shown  map[serviceName]*Service
	here   map[string]bool // nodes whose agent is there
	living map[netip.AddrPort]int
	// lingering are the pools whose set is of containers that have stopped.
	lingering map[*pool]bool
	// touched are the pools to decide about; true for those whose containers have
	// changed.
	touched map[*pool]bool
	sorted  []*Service // of shown; nil when that has changed
}

func newMachine(r rules) *machine {
	return &machine{rules: r, pools: map[serviceName]*pool{}, shown: map[serviceName]*Service{}, here: map[string]bool{},
		living: map[netip.AddrPort]int{}, lingering: map[*pool]bool{}, touched: map[*pool]bool{}}
}

// apply takes changes that belong together, and says whether services differ.
func (m *machine) apply(changes []Change, now time.Time) bool {
	for _, c := range changes {
		m.change(c, now)
	}
	return m.decide(now)
}

func (m *machine) change(c Change, now time.Time) {
	switch {
	case c.Put != nil:
		m.put(*c.Put, now)
	case c.Deleted != nil:
		m.delete(*c.Deleted, c.revision, now)
	case c.NodeUp != nil:
		m.setHere(c.NodeUp.Nodename, true)
	case c.NodeGone != "":
		m.setHere(c.NodeGone, false)
	}
}

func (m *machine) put(e Entry, now time.Time) {
	name := serviceName{e.Key.App, e.Key.Entrypoint}
	p := m.pools[name]
	if p == nil {
		p = newPool(name)
		m.pools[name] = p
	}
	c := p.add(e.Key, now.Add(-m.rules.hold))
	m.count(c, -1)
	c.take(e, now)
	m.count(c, +1)
	m.touch(p, e.Revision)
}

func (m *machine) delete(k Key, revision int64, now time.Time) {
	p := m.pools[serviceName{k.App, k.Entrypoint}]
	if p == nil {
		return
	}
	if c := p.remove(k, now); c != nil {
		m.count(c, -1)
		m.touch(p, revision)
	}
}

func (m *machine) touch(p *pool, revision int64) {
	if m.touched[p] {
		revision = max(p.revision, revision)
	}
	p.revision = revision
	m.touched[p] = true
}

// consider has a pool decided about whose containers have not changed.
func (m *machine) consider(p *pool) {
	if !m.touched[p] {
		m.touched[p] = false
	}
}

// count keeps the number of living containers at each address. Where one has
// come to live, what has stopped there stays in no set.
func (m *machine) count(c *candidate, by int) {
	if !c.living() {
		return
	}
	for _, a := range c.addresses() {
		if m.living[a] += by; m.living[a] == 0 {
			delete(m.living, a)
		}
	}
	if by < 0 {
		return
	}
	for p := range m.lingering {
		m.consider(p)
	}
}

// taken says whether a living container has one of c's addresses.
func (m *machine) taken(c *candidate) bool {
	return slices.ContainsFunc(c.addresses(), func(a netip.AddrPort) bool { return m.living[a] > 0 })
}

func (m *machine) setHere(node string, here bool) {
	if m.here[node] == here {
		return
	}
	if m.here[node] = here; !here {
		delete(m.here, node)
	}
	for _, p := range m.pools {
		if i, _ := p.find(Key{Node: node}); i < len(p.all) && p.all[i].entry.Key.Node == node {
			m.consider(p)
		}
	}
}

// tick lets time pass, and says whether services differ.
func (m *machine) tick(now time.Time) bool {
	for _, p := range m.pools {
		if !p.due.IsZero() && !p.due.After(now) {
			m.consider(p)
		}
	}
	return m.decide(now)
}

// next is when to tick, zero for never.
func (m *machine) next() time.Time {
	var next time.Time
	for _, p := range m.pools {
		if !p.due.IsZero() && (next.IsZero() || p.due.Before(next)) {
			next = p.due
		}
	}
	return next
}

func (m *machine) decide(now time.Time) bool {
	differ := false
	for p := range m.touched {
		differ = m.decideOne(p, now) || differ
	}
	clear(m.touched)
	if differ {
		m.sorted = nil
	}
	return differ
}

func (m *machine) decideOne(p *pool, now time.Time) bool {
	delete(m.lingering, p)
	if len(p.all) == 0 {
		delete(m.pools, p.name)
		delete(m.shown, p.name)
		return true
	}
	if p.decide(m.rules, now, m.taken) {
		m.lingering[p] = true
	}
	next := p.show(m.here)
	if !m.touched[p] && next.alike(m.shown[p.name]) {
		return false
	}
	m.shown[p.name] = next
	return true
}

// find returns a container that is known.
func (m *machine) find(k Key) (*pool, *candidate) {
	p := m.pools[serviceName{k.App, k.Entrypoint}]
	i, _ := p.find(k)
	return p, p.all[i]
}

// remember gives a container back what a reader before knew of it.
func (m *machine) remember(k Key, in, left bool) {
	p, c := m.find(k)
	p.fresh = false
	c.in, c.left, c.passed = in, left, c.passed || in
}

// services are all of them, by name.
func (m *machine) services() []*Service {
	if m.sorted == nil {
		m.sorted = slices.SortedFunc(maps.Values(m.shown), func(a, b *Service) int {
			return cmp.Or(strings.Compare(a.App, b.App), strings.Compare(a.Entrypoint, b.Entrypoint))
		})
	}
	return m.sorted
}
