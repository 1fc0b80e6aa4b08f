package monitor

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/projecteru2/eru-agent/status"
)

// Term is what the elected one may read and write: *status.Term.
type Term interface {
	reader
	pen
}

type reader interface {
	Owners(ctx context.Context) ([]string, error)
	Silences(ctx context.Context) (map[string]status.Silence, error)
	Left(ctx context.Context, lease int64) (left, granted time.Duration, err error)
	Examine(ctx context.Context, node string) (status.Remains, error)
	Scan(ctx context.Context, nodes []string) (map[string][]status.Key, error)
	Read(ctx context.Context, r status.Remains, keys []status.Key) (status.Remains, error)
}

type pen interface {
	Note(ctx context.Context, notes map[string]*status.Silence) error
	Rewrite(ctx context.Context, r status.Remains, entries []status.Entry) error
	Forget(ctx context.Context, r status.Remains) error
}

// duty is the work of one term. One goroutine owns what is known; what takes
// time is done by others, which hand it their outcome. While nobody is silent it
// knows the names of the living and nothing else.
type duty struct {
	*Monitor
	term   Term
	checks Checks

	presence chan status.Presence
	outcomes chan outcome
	work     sync.WaitGroup
	scans    pool[map[string][]status.Key]
	outlooks pool[outlook]

	mu     sync.Mutex // living is written by the owner and read by outlooks
	living map[string]int64

	// Of run's goroutine alone.
	noted  map[string]status.Silence // by former monitors, until the nodes are known
	wards  map[string]*ward
	cases  map[string]*patient // who is probed, by the name of the job
	epoch  uint64
	crowd  string // too many are silent together: why nothing is cut
	sight  string // and what the last inquiry said against cutting
	guard  string // one of the two, as it was last said
	timer  *time.Timer
	notes  map[string]*status.Silence // to be written
	noting bool
	retry  time.Time // before which nothing is noted, because it failed
}

// outcome is what some work has come to; it runs on the owning goroutine.
type outcome func() error

func newDuty(m *Monitor, t Term) *duty {
	d := &duty{
		Monitor: m, term: t, checks: m.checks(), presence: make(chan status.Presence), outcomes: make(chan outcome),
		wards: map[string]*ward{}, cases: map[string]*patient{}, notes: map[string]*status.Silence{}, timer: time.NewTimer(time.Hour),
	}
	d.scans = pool[map[string][]status.Key]{run: t.Scan, begin: d.work.Go}
	d.outlooks = pool[outlook]{run: d.lookOut, begin: d.work.Go}
	return d
}

// run does the duty until ctx ends, which is when the term does, or until etcd
// says that it is over.
func (d *duty) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer d.work.Wait()
	defer cancel()
	defer d.timer.Stop()
	owners, err := d.term.Owners(ctx)
	if err != nil {
		return err
	}
	if d.noted, err = d.term.Silences(ctx); err != nil {
		return err
	}
	d.work.Go(func() { _ = d.checks.Run(ctx) })
	d.work.Go(func() { _ = d.store.FollowNodes(ctx, func(p status.Presence) { send(ctx, d.presence, p) }) })
	for {
		var err error
		select {
		case <-ctx.Done():
			return ctx.Err()
		case p := <-d.presence:
			d.hear(p, owners)
			if p.All != nil {
				owners = nil // they are among the wards, or alive
			}
		case finish := <-d.outcomes:
			err = finish()
		case r := <-d.checks.Results():
			if !d.verdict(ctx, r) {
				continue
			}
		case <-d.timer.C:
		}
		if err != nil {
			return err
		}
		d.advance(ctx)
	}
}

func send[T any](ctx context.Context, to chan<- T, v T) {
	select {
	case to <- v:
	case <-ctx.Done():
	}
}

// aside does work that takes time, and lets finish follow on the owning
// goroutine.
func (d *duty) aside(ctx context.Context, work func() outcome) {
	d.work.Go(func() { send(ctx, d.outcomes, work()) })
}

// hear learns which nodes are there. After a gap a node that is missing may have
// gone in it.
func (d *duty) hear(p status.Presence, owners []string) {
	switch {
	case p.All != nil:
		d.hearAll(p.All, owners)
	case p.Up:
		d.mu.Lock()
		d.living[p.Node] = p.Lease
		d.mu.Unlock()
		d.home(p.Node)
	default:
		d.mu.Lock()
		delete(d.living, p.Node)
		d.mu.Unlock()
		d.silent(p.Node)
	}
}

func (d *duty) hearAll(all map[string]int64, owners []string) {
	for node := range all {
		d.home(node)
	}
	for node := range d.swapLiving(all) {
		owners = append(owners, node)
	}
	for _, node := range owners {
		if _, alive := all[node]; !alive {
			d.silent(node)
		}
	}
	for node := range d.noted { // of one that is alive, or was forgotten
		d.notes[node] = nil
	}
	d.noted = nil
}

func (d *duty) swapLiving(all map[string]int64) map[string]int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	was := d.living
	d.living = all
	return was
}

// silent begins to look after a node whose session has ended. Its own has not:
// what is missing there, its agent is about to write.
func (d *duty) silent(node string) {
	if node == d.cfg.Node || d.wards[node] != nil {
		return
	}
	now := time.Now()
	w := &ward{node: node, note: status.Silence{Since: now.UTC()}, due: now, patients: map[status.Key]*patient{}}
	if noted, ok := d.noted[node]; ok {
		w.note, w.noted = noted, true
		delete(d.noted, node)
	}
	d.epoch++
	w.epoch = d.epoch
	d.wards[node] = w
	d.log.Debug("a node is silent; it is looked into", zap.String("node", node))
}

// home ends the care of a node whose agent is back.
func (d *duty) home(node string) {
	if w := d.wards[node]; w != nil {
		d.drop(w)
		d.log.Info("a silent node is back", zap.String("node", node), zap.Duration("after", time.Since(w.note.Since)))
	}
}

// drop ends the care of a node for whatever reason.
func (d *duty) drop(w *ward) {
	for _, p := range w.patients {
		d.release(p)
	}
	delete(d.wards, w.node)
	if w.noted {
		d.notes[w.node] = nil
	}
}

// advance begins all that is due, and sets the timer for what comes next.
func (d *duty) advance(ctx context.Context) {
	now := time.Now()
	d.watchOut(now)
	next := now.Add(time.Hour)
	for _, w := range d.wards {
		if !w.asking && !now.Before(w.due) {
			d.inquire(ctx, w)
		}
		if !w.asking && w.due.Before(next) {
			next = w.due
		}
	}
	d.writeNotes(ctx, now)
	if len(d.notes) > 0 && !d.noting && d.retry.Before(next) {
		next = d.retry
	}
	d.timer.Reset(max(0, next.Sub(now)))
	d.count()
}

// count tells the metrics.
func (d *duty) count() {
	unjudged := 0
	for _, w := range d.wards {
		if w.note.Judged.IsZero() {
			unjudged++
		}
	}
	d.metrics.census(len(d.living), unjudged, len(d.wards)-unjudged)
}

// writeNotes writes what is to be noted of silences, one transaction at a time.
func (d *duty) writeNotes(ctx context.Context, now time.Time) {
	if d.noting || len(d.notes) == 0 || now.Before(d.retry) {
		return
	}
	notes := d.notes
	d.notes, d.noting = map[string]*status.Silence{}, true
	d.aside(ctx, func() outcome {
		err := d.term.Note(ctx, notes)
		return func() error {
			d.noting = false
			switch {
			case errors.Is(err, status.ErrOver):
				return err
			case err != nil:
				d.retry = time.Now().Add(again)
				d.log.Warn("what is known of silent nodes could not be noted; it is tried again", zap.Error(err))
				for node, note := range notes {
					if _, newer := d.notes[node]; !newer {
						d.notes[node] = note
					}
				}
			}
			return nil
		}
	})
}
