package agent

import (
	"context"
	"slices"

	"go.uber.org/zap"
)

// Pending names what the first pass waits for: Docker's listing, then the
// containers that ran when the agent started and have had no verdict yet. It is
// empty from the end of that pass on.
func (a *Agent) Pending(ctx context.Context) ([]string, error) {
	var names []string
	err := a.do(ctx, func() {
		if !a.synced {
			names = []string{"Docker's containers to be listed"}
		}
		for l := range a.unseen {
			names = append(names, l.status.Name)
		}
	})
	slices.Sort(names)
	return names, err
}

// beginFirstPass notes whose first verdict is waited for. Containers that start
// later are not among them, or a busy node would never be ready.
func (a *Agent) beginFirstPass() {
	a.synced = true
	for _, l := range a.lives {
		if l.probed() && !l.asked {
			a.unseen[l] = true
		}
	}
	a.log.Info("Docker's containers are known", zap.Int("containers", len(a.lives)), zap.Int("to_be_verified", len(a.unseen)))
}

// advanceFirstPass drops those that have been asked, and those that nobody asks
// any more. A verdict that was dropped counts too: whether the agent is fit to
// measure is not what readiness is about.
func (a *Agent) advanceFirstPass() {
	if len(a.unseen) == 0 {
		return
	}
	for l := range a.unseen {
		if l.asked || !l.probed() || a.lives[l.c.ID] != l {
			delete(a.unseen, l)
		}
	}
	if len(a.unseen) == 0 {
		a.log.Info("every container has had its first verdict", zap.Int("containers", len(a.lives)))
	}
}
