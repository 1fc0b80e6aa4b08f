package monitor

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/projecteru2/eru-agent/healthcheck"
	"github.com/projecteru2/eru-agent/status"
)

const (
	// again is when a node is asked about anew that could not be judged.
	again = time.Second
	// recheckEvery is how often the host of a silent node is asked, while
	// anything depends on it.
	recheckEvery = 5 * time.Second
	// lookEvery is how often a node is looked up that is not asked: it may have
	// been forgotten.
	lookEvery = time.Minute
	// stirred is how long a node is left alone whose owner record has moved: its
	// agent lives and writes, and has only no session yet.
	stirred = 10 * time.Second
)

// answered acts on an inquiry's outcome.
func (d *duty) answered(ctx context.Context, w *ward, a answer, err error) {
	now, r := time.Now(), a.remains
	w.due = now.Add(again)
	switch {
	case err != nil:
		d.log.Warn("a silent node cannot be looked into; it is tried again", zap.String("node", w.node), zap.Error(err))
		return
	case r.Present: // the watch is about to tell
		return
	case !r.Known(), !r.Owner.Session: // forgotten, or never to be heard of
		d.drop(w)
		return
	case w.remains.Known() && w.remains.Owner.Sequence != r.Owner.Sequence:
		d.readmit(w, r, now.Add(stirred))
		return
	}
	d.note(w)
	w.remains = r
	if a.patients != nil {
		w.admit(a.patients)
	}
	wait := d.leftAlone(w.note, r, now)
	switch {
	case wait > 0:
		w.due = now.Add(wait)
	case !a.asked:
		w.due = now.Add(lookEvery)
		d.outlived(ctx, w, now)
	case !d.held(w, a):
		d.sentence(ctx, w, a, now)
	}
}

// note writes down that a node is silent.
func (d *duty) note(w *ward) {
	if !w.noted {
		w.noted = true
		note := w.note
		d.notes[w.node] = &note
	}
}

// readmit begins anew with a node of which something else stands in etcd than
// was read.
func (d *duty) readmit(w *ward, r status.Remains, due time.Time) {
	for _, p := range w.patients {
		d.release(p)
	}
	d.epoch++
	w.epoch, w.remains, w.read, w.patients, w.due = d.epoch, r, false, nil, due
	w.asking, w.writing = false, false
}

// sentence judges a node, and writes what follows.
func (d *duty) sentence(ctx context.Context, w *ward, a answer, now time.Time) {
	was := w.note
	for _, p := range w.judge(a, d.cfg.Node, now) {
		d.attend(p)
	}
	w.due = now.Truncate(recheckEvery).Add(recheckEvery) // all together, so that they share what they ask for
	if was.Judged.IsZero() {
		w.note.Judged = now.UTC()
		d.log.Warn("a node is silent", zap.String("node", w.node), zap.Time("since", w.note.Since),
			zap.String("host", w.note.Host), zap.Int("containers", len(w.patients)))
	}
	if w.note != was {
		note := w.note
		d.notes[w.node] = &note
	}
	d.write(ctx, w)
}

// verdict acts on what a probe of a patient found out, and says whether that
// asks for an inquiry.
func (d *duty) verdict(ctx context.Context, r healthcheck.Result) bool {
	p, ok := d.cases[r.ID]
	if !ok || p.ward.epoch != r.Epoch || r.Void {
		return false
	}
	v, w := r.Verdict, p.ward
	switch {
	case v.Pass:
		p.suspect = nil
		p.pass(d.cfg.Node, r.At)
	case p.status().State != status.StateHealthy:
	case plain(v.Reason):
		p.fail(v, d.cfg.Node, r.At)
	default: // it may be the host, or this one's network
		p.suspect = &v
		w.due = time.Now()
		return !w.asking
	}
	d.write(ctx, w)
	return false
}

// plain says that a container said no itself.
func plain(reason healthcheck.Reason) bool {
	switch reason {
	case healthcheck.ReasonTimeout, healthcheck.ReasonUnreachable, healthcheck.ReasonReset, healthcheck.ReasonAgent:
		return false
	default:
		return true
	}
}

// attend lets a patient be probed at its own interval.
func (d *duty) attend(p *patient) {
	if p.job != "" {
		return
	}
	k := p.entry.Key
	p.job = k.App + "/" + k.Entrypoint + "/" + k.Node + "/" + k.ID
	d.cases[p.job] = p
	d.checks.Set(healthcheck.Job{ID: p.job, Epoch: p.ward.epoch, Check: p.check, Target: p.target})
}

func (d *duty) release(p *patient) {
	if p.job == "" {
		return
	}
	d.checks.Remove(p.job)
	delete(d.cases, p.job)
	p.job = ""
}
