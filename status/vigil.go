package status

import "context"

// Vigil is who looks after the silent nodes, and what is noted of them.
type Vigil struct {
	Monitor *Monitor // nil: nobody is elected
	// Silences are of nodes that are silent, and of some that were: a note says
	// nothing while the node's key is there.
	Silences map[string]Silence
}

// Vigil reads it. Unlike Roster it reads no statuses, so it may be asked now and
// again.
func (s *Store) Vigil(ctx context.Context) (Vigil, error) {
	silences, err := s.silences(ctx)
	if err != nil {
		return Vigil{}, err
	}
	monitor, err := s.monitor(ctx)
	return Vigil{Monitor: monitor, Silences: silences}, err
}
