// Package plan owns how a run of measurements goes: step after step, with its
// flags, its progress, and an interruption that loses nothing of what was
// measured before.
package plan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/projecteru2/eru-agent/bench/report"
)

// Step is one measurement.
type Step struct {
	What  string
	Takes time.Duration // about
	Do    func(context.Context) error
}

// Interruptible is a context that ends when the run is asked to.
func Interruptible() (context.Context, context.CancelFunc) {
	// Who pipes us into head must not keep us from tidying up: a failed write is an error, not the end.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	return signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
}

// Each takes one step after the other. One that fails is said to be missing, and
// keeps none of the others from being measured.
func Each(ctx context.Context, steps []Step, r *report.Report, progress io.Writer) error {
	left := time.Duration(0)
	for _, s := range steps {
		left += s.Takes
	}
	_, _ = fmt.Fprintf(progress, "bench: %d measurements, about %s\n", len(steps), left.Round(time.Second))
	var errs []error
	for i, s := range steps {
		if _, err := fmt.Fprintf(progress, "bench: %d/%d %s, about %s left\n", i+1, len(steps), s.What, left.Round(time.Second)); err != nil {
			return fmt.Errorf("saying what is measured: %w", err)
		}
		err := s.Do(ctx)
		if ctx.Err() != nil {
			return errors.New("interrupted; what was measured before stands above")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("measuring %s: %w", s.What, err))
			r.Skipped = append(r.Skipped, fmt.Sprintf("%s: %s", s.What, err))
		}
		left -= s.Takes
	}
	return errors.Join(errs...)
}
