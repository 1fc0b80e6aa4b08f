package stage

import (
	"context"
	"fmt"
	"strings"

	"github.com/projecteru2/eru-agent/bench/bare"
)

// Bare is a bare client under way, and a witness of what it writes.
type Bare struct {
	*Witness
	process *Process
	keys    int
}

// Bare starts one, which follows the crowd's Docker too if there is a crowd.
func (s *Stage) Bare(ctx context.Context, c *Crowd) (*Bare, error) {
	spec := bare.Spec{Etcd: s.Etcd.Endpoint, Prefix: "/" + s.unique("bare") + "/"}
	if c != nil {
		spec.Docker = strings.TrimPrefix(c.Endpoint(), "unix://")
	}
	w, err := s.Witness(ctx, spec.Prefix)
	if err != nil {
		return nil, err
	}
	b := &Bare{Witness: w}
	if b.process, err = s.child("bare", spec); err != nil {
		w.End()
		return nil, err
	}
	if _, err = b.process.Line(ctx); err != nil {
		b.End()
		return nil, err
	}
	return b, nil
}

// End ends the client and its witness.
func (b *Bare) End() {
	b.process.End()
	b.Witness.End()
}

// Watch makes it write a key when a process has ended, and returns that key.
func (b *Bare) Watch(ctx context.Context, pid int) (string, error) {
	b.keys++
	key := fmt.Sprintf("key-%d", b.keys)
	if _, err := fmt.Fprintf(b.process.in, "%s %d\n", key, pid); err != nil {
		return "", fmt.Errorf("telling the bare client whom to watch: %w", err)
	}
	_, err := b.process.Line(ctx)
	return key, err
}
