package monitor

import "context"

// Serve does the duty of one term.
func (m *Monitor) Serve(ctx context.Context, t Term) error { return m.serve(ctx, t) }
