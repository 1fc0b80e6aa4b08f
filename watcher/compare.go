package watcher

import (
	"context"
	"maps"
	"net/netip"
)

// compare holds a listing against what is known and asks Docker about each
// difference. A listing alone changes nothing: it may lag. It does not show that
// a container was started anew: after a gap in the events that is asked for
// where the kernel would not have told.
func (k *keeper) compare(ctx context.Context, l listing) {
	k.listOK.Store(true)
	first := k.applied == 0
	k.applied++
	k.suspect = l.periodic
	present := map[string]bool{}
	for id, c := range l.all {
		if !k.ours(c.labels) {
			continue
		}
		present[id] = true
		r, ok := k.known[id]
		if !ok {
			if !c.running && !c.exited {
				continue
			}
			r = &record{}
			k.known[id] = r
		}
		if r.differs(c, l.all) || c.running && !l.periodic && k.deaths.fate(id, r.c.Pid) == fateUnknown {
			if first {
				k.awaited[id] = true
			}
			k.ask(ctx, id, r, true)
		}
	}
	for id, r := range k.known {
		if _, ok := l.all[id]; !ok {
			k.ask(ctx, id, r, true)
		}
	}
	k.tell(ctx, Event{Kind: Listed, Present: present})
	k.maybeSynced(ctx)
}

func (r *record) differs(l listed, all map[string]listed) bool {
	if l.running != (r.phase == phaseRunning) {
		return true
	}
	if !l.running {
		return r.phase == phaseUnknown || l.exited && !r.exit.Known
	}
	if l.paused != r.c.Paused || (l.name != "" && l.name != r.c.Name) {
		return true
	}
	networks := l.networks
	if r.target != "" {
		networks = map[string]netip.Addr{} // of a target that does not run
		if t := all[r.target]; t.running {
			networks = t.networks
		}
	}
	return !r.c.Host && networks != nil && !maps.Equal(networks, r.c.Networks)
}

// maybeSynced tells once that all details of the first listing are known.
func (k *keeper) maybeSynced(ctx context.Context) {
	if k.synced || k.applied == 0 || len(k.awaited) > 0 {
		return
	}
	k.synced = true
	k.tell(ctx, Event{Kind: Synced})
}
