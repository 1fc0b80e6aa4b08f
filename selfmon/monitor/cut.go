package monitor

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/projecteru2/eru-agent/status"
)

// write writes what is wanted of a ward's patients and does not stand in etcd
// yet, one write after the other.
func (d *duty) write(ctx context.Context, w *ward) {
	if w.writing {
		return
	}
	var entries []status.Entry
	wanted := map[status.Key]*status.Status{}
	for k, p := range w.patients {
		if p.next != nil {
			entries = append(entries, status.Entry{Key: k, Status: *p.next, Revision: p.entry.Revision})
			wanted[k] = p.next
		}
	}
	if len(entries) == 0 {
		return
	}
	w.writing = true
	remains := w.remains
	d.act(ctx, w, func() error { return d.term.Rewrite(ctx, remains, entries) }, func(err error) {
		w.writing = false
		if err != nil {
			d.unwritten(w, err)
			return
		}
		for _, e := range entries {
			d.written(w.patients[e.Key], e, wanted[e.Key])
		}
		d.write(ctx, w)
	})
}

// act lets do change etcd aside, and then finish, if the ward is still the same.
// A term that is over ends the duty.
func (d *duty) act(ctx context.Context, w *ward, do func() error, finish func(error)) {
	epoch := w.epoch
	d.aside(ctx, func() outcome {
		err := do()
		return func() error {
			if errors.Is(err, status.ErrOver) {
				return err
			}
			if d.wards[w.node] == w && w.epoch == epoch {
				finish(err)
			}
			return nil
		}
	})
}

// unwritten reads anew what is not known, or not as it was.
func (d *duty) unwritten(w *ward, err error) {
	d.log.Warn("statuses of a silent node were not written; it is looked into anew", zap.String("node", w.node), zap.Error(err))
	d.readmit(w, w.remains, time.Now().Add(again))
}

// written learns what stands in etcd now.
func (d *duty) written(p *patient, e status.Entry, wanted *status.Status) {
	was := p.entry.Status.State
	p.entry = e
	if p.next == wanted {
		p.next = nil
	}
	d.log.Info("transition", zap.String("node", e.Key.Node), zap.String("app", e.Key.App), zap.String("entrypoint", e.Key.Entrypoint),
		zap.String("name", e.Status.Name), zap.String("from", string(was)), zap.String("to", string(e.Status.State)),
		zap.String("reason", e.Status.Reason), zap.String("detail", e.Status.Detail))
	if e.Status.State != status.StateHealthy {
		d.metrics.cuts.WithLabelValues(string(e.Status.State)).Inc()
	}
	if !p.asked() {
		d.release(p)
	}
}

// outlived forgets a node that has been silent for longer than the janitor
// waits, with its host.
func (d *duty) outlived(ctx context.Context, w *ward, now time.Time) {
	overdue := d.cfg.ForgetAfter > 0 && now.Sub(w.note.Since) >= d.cfg.ForgetAfter
	if !overdue || w.note.Judged.IsZero() || w.note.Host != status.HostSilent {
		return
	}
	w.asking = true
	remains := w.remains
	d.act(ctx, w, func() error { return d.term.Forget(ctx, remains) }, func(err error) {
		w.asking = false
		if err != nil {
			d.log.Warn("a node that is gone could not be forgotten; it is tried again", zap.String("node", w.node), zap.Error(err))
			return
		}
		d.log.Info("a node that has been silent for long is forgotten", zap.String("node", w.node), zap.Time("since", w.note.Since))
		w.noted = false // the note went with it
		d.drop(w)
	})
}
