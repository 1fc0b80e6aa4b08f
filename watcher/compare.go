package watcher

import (
	"context"
	"maps"
	"net/netip"

	"go.uber.org/zap"
)

// compare holds a listing against what is known and asks Docker about each
// difference. A listing alone changes nothing: it may lag. It does not show that
// a container was started anew, and maybe ended again: after a gap in the events
// that is asked for where the kernel would not have told.
func (k *keeper) compare(ctx context.Context, l listing) {
	k.listOK.Store(true)
	first := k.applied == 0
	k.applied++
	k.suspect = l.periodic
	present := k.present(l.all)
	for id, c := range l.all {
		if k.ours(c.labels) {
			k.compareOne(ctx, id, c, l, first)
		}
	}
	for id, r := range k.known {
		if _, ok := l.all[id]; !ok {
			k.ask(ctx, id, r, true)
		}
		if l.periodic && r.phase == phaseRunning {
			k.rewatch(ctx, id, r)
		}
	}
	for id := range present {
		k.known[id].listed = true
	}
	k.tell(ctx, Event{Kind: Listed, Present: present, At: l.asked})
	k.maybeSynced(ctx)
}

func (k *keeper) compareOne(ctx context.Context, id string, c listed, l listing, first bool) {
	r, ok := k.known[id]
	if !ok {
		if !c.running && !c.exited {
			return
		}
		r = &record{}
		k.known[id] = r
	}
	if r.differs(c, l.all) || !l.periodic && (c.exited || c.running && k.deaths.fate(id, r.c.Pid) == fateUnknown) {
		if first {
			k.awaited[id] = c.name
		}
		k.ask(ctx, id, r, true)
	}
}

// present is the listing as it is told: what is known to run, or was heard to
// begin while Docker listed, is not dead because a listing says so.
func (k *keeper) present(all map[string]listed) map[string]bool {
	present := map[string]bool{}
	for id, c := range all {
		if k.ours(c.labels) && (c.running || c.exited) {
			present[id] = c.running
		}
	}
	for id, r := range k.known {
		heard := r.asking && !r.relist && (r.phase != phaseUnknown || k.ours(all[id].labels))
		if r.phase == phaseRunning || heard {
			present[id] = true
		}
	}
	return present
}

func (r *record) differs(l listed, all map[string]listed) bool {
	if l.running != (r.phase == phaseRunning) {
		return true
	}
	renamed := l.name != "" && l.name != r.c.Name
	if !l.running {
		return r.phase == phaseUnknown || l.exited && (renamed || !r.exit.Known)
	}
	if l.paused != r.c.Paused || renamed {
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

// unawait lets the first listing be over without the details of a container of
// which Docker does not tell. It goes on being asked.
func (k *keeper) unawait(ctx context.Context, id string, err error) {
	name, ok := k.awaited[id]
	if !ok {
		return
	}
	k.log.Warn("Docker does not tell about a container; the first listing counts as complete without it",
		zap.String("container", id), zap.String("name", name), zap.Error(err))
	delete(k.awaited, id)
	k.maybeSynced(ctx)
}

// maybeSynced tells once that all details of the first listing are known.
func (k *keeper) maybeSynced(ctx context.Context) {
	if k.synced || k.applied == 0 || len(k.awaited) > 0 {
		return
	}
	k.synced = true
	k.tell(ctx, Event{Kind: Synced})
}
