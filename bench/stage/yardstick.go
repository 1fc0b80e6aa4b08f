package stage

import (
	"context"
	"time"

	"github.com/projecteru2/eru-agent/bench/board"
	"github.com/projecteru2/eru-agent/bench/yardstick"
)

// Yardstick is a probe loop under way.
type Yardstick struct {
	*Process
	board *board.Board
}

// Yardstick starts one over the first n targets.
func (s *Stage) Yardstick(ctx context.Context, method, kind string, n int, interval time.Duration) (*Yardstick, error) {
	p, err := s.child("yardstick", yardstick.Spec{
		Method: method, Kind: kind, Targets: n, Port: s.Port, Interval: interval, Board: s.file("board"),
	})
	if err != nil {
		return nil, err
	}
	if _, err := p.Line(ctx); err != nil {
		p.End()
		return nil, err
	}
	return &Yardstick{p, s.Board}, nil
}

// Probes are how many the yardsticks have made, and how many of them passed.
func (y *Yardstick) Probes(context.Context) (int64, int64, error) {
	passed := y.board.Passed.Load()
	return passed + y.board.Failed.Load(), passed, nil
}
