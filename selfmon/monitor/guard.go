package monitor

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	// sampleSessions and sampleHosts bound how many of the living are looked at
	// before anything is cut.
	sampleSessions = 100
	sampleHosts    = 8
	// askEtcdAtOnce bounds the questions to etcd that are under way at once.
	askEtcdAtOnce = 16
)

// outlook is how the others fare while some node is silent.
type outlook struct {
	overdue int  // nodes that have not renewed their session for half of it
	blind   bool // most of those that live do not answer this host
	asked   int  // how many were asked for that
}

// lookOut takes a sample of the nodes that hold a session. Those that went
// silent together lose their sessions one after the other, over a third of its
// length: who has not renewed for half of it is on the way.
func (d *duty) lookOut(ctx context.Context, _ []string) (outlook, error) {
	names, leases := d.sample()
	var o outlook
	var mu sync.Mutex
	err := each(ctx, leases, func(lease int64) error {
		left, granted, err := d.term.Left(ctx, lease)
		mu.Lock()
		defer mu.Unlock()
		if err == nil && (granted == 0 || 2*left < granted) {
			o.overdue++
		}
		return err
	})
	if err != nil {
		return o, fmt.Errorf("looking how the others fare: %w", err)
	}
	if n := d.alive(); len(leases) > 0 {
		o.overdue = o.overdue * n / len(leases)
	}
	places, err := d.controls(ctx, names)
	if err != nil {
		return o, err
	}
	answers, fit := d.network.Ask(ctx, places)
	reached := map[netip.Addr]bool{}
	for place, answered := range answers {
		reached[place.Addr()] = reached[place.Addr()] || answered
	}
	yes := 0
	for _, answered := range reached {
		if answered {
			yes++
		}
	}
	o.asked, o.blind = len(reached), !fit || 2*yes < len(reached)
	return o, nil
}

// controls are the places that this host should be able to reach: as
// configured, else hosts of some nodes that live, else etcd.
func (d *duty) controls(ctx context.Context, names []string) ([]netip.AddrPort, error) {
	if len(d.cfg.Control) > 0 {
		return d.cfg.Control, nil
	}
	var places []netip.AddrPort
	for _, name := range names[:min(len(names), sampleHosts)] {
		r, err := d.term.Examine(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("looking how the others fare: %w", err)
		}
		if addr, err := netip.ParseAddr(r.Owner.Address); err == nil {
			places = append(places, d.hostPlaces(addr)...)
		}
	}
	if len(places) == 0 {
		return d.cfg.Fallback, nil
	}
	return distinct(places), nil
}

// sample draws from the nodes that hold a session, without this one.
func (d *duty) sample() ([]string, []int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	names := make([]string, 0, len(d.living))
	for name, lease := range d.living {
		if name != d.cfg.Node && lease != 0 {
			names = append(names, name)
		}
	}
	rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	names = names[:min(len(names), sampleSessions)]
	leases := make([]int64, len(names))
	for i, name := range names {
		leases[i] = d.living[name]
	}
	return names, leases
}

func (d *duty) alive() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.living)
}

// each calls do for all of list, some at a time, and returns the first error.
func each[T any](ctx context.Context, list []T, do func(T) error) error {
	slots := make(chan struct{}, askEtcdAtOnce)
	errs := make(chan error, len(list))
	var all sync.WaitGroup
	for _, v := range list {
		all.Go(func() {
			select {
			case slots <- struct{}{}:
				defer func() { <-slots }()
				errs <- do(v)
			case <-ctx.Done():
			}
		})
	}
	all.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// together counts the nodes that are silent and not judged, and what may be:
// those in their grace are not of it.
func (d *duty) together(now time.Time) int {
	n := 0
	for _, w := range d.wards {
		if w.note.Judged.IsZero() && d.leftAlone(w.note, w.remains, now) <= 0 {
			n++
		}
	}
	return n
}

// tooMany says whether so many silent nodes are the network's fault, or etcd's.
func (d *duty) tooMany(silent int) bool {
	known := d.alive() + len(d.wards)
	return float64(silent) > max(1, d.cfg.MaxLost*float64(known))
}

// watchOut looks at the number of silent nodes alone; what else speaks against
// cutting is known after an inquiry.
func (d *duty) watchOut(now time.Time) {
	n, was := d.together(now), d.crowd
	d.crowd = ""
	if d.tooMany(n) {
		d.crowd = fmt.Sprintf("%d of %d nodes are silent together", n, d.alive()+len(d.wards))
	}
	if n == 0 && !d.anyAsked() {
		d.sight = ""
	}
	if was != "" && d.crowd == "" {
		for _, w := range d.wards {
			w.due = now
		}
	}
	d.sayGuard()
}

// held says whether the guard keeps a node from being judged.
func (d *duty) held(w *ward, a answer) bool {
	n, o := d.together(time.Now()), a.outlook
	d.sight = ""
	switch {
	case !a.fit:
		d.sight = "this host was stopped, or too busy to ask others"
	case o.blind:
		d.sight = fmt.Sprintf("fewer than half of %d others can be reached from here", o.asked)
	case w.note.Judged.IsZero() && d.tooMany(n+o.overdue):
		d.sight = fmt.Sprintf("%d of %d nodes are silent together, and %d more have not renewed their session", n, d.alive()+len(d.wards), o.overdue)
	}
	d.sayGuard()
	return d.sight != ""
}

// anyAsked says whether anything of a judged node is still to be lost, so that it
// is asked about time and again.
func (d *duty) anyAsked() bool {
	for _, w := range d.wards {
		if !w.idle() {
			return true
		}
	}
	return false
}

// sayGuard says when the guard goes up, and when it is down again.
func (d *duty) sayGuard() {
	why := cmp.Or(d.crowd, d.sight)
	switch {
	case why != "" && d.guard == "":
		d.metrics.guard.Set(1)
		d.log.Error("guard: nothing is cut, because this is the network or etcd, and not the nodes", zap.String("why", why))
	case why == "" && d.guard != "":
		d.metrics.guard.Set(0)
		d.log.Info("guard: over", zap.String("was", d.guard))
	}
	d.guard = why
}
