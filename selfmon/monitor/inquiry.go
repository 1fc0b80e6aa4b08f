package monitor

import (
	"context"
	"errors"
	"net/netip"
	"slices"
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
	// lookEvery is how often a node of which nothing is left to be lost is looked
	// up: it may have been forgotten.
	lookEvery = time.Minute
	// stirred is how long a node is left alone whose owner record has moved: its
	// agent lives and writes, and has only no session yet.
	stirred = 10 * time.Second
)

// answer is what an inquiry about a silent node found.
type answer struct {
	remains  status.Remains
	patients map[status.Key]*patient // nil: the statuses had been read before, or were not asked for
	answers  map[netip.AddrPort]bool
	hosts    []netip.AddrPort // of these, what stands for the host
	fit      bool             // this host was fit to ask
	outlook  outlook
	asked    bool // the host and the containers were asked
}

// hostAnswers says whether anything came from the host's address. One that is
// not known cannot be said not to.
func (a answer) hostAnswers(host netip.Addr) bool {
	if !host.IsValid() {
		return true
	}
	for place, answered := range a.answers {
		if answered && place.Addr() == host {
			return true
		}
	}
	return false
}

// inquire asks etcd, and unless the guard is up or nothing depends on it the host
// and the containers, about a silent node.
func (d *duty) inquire(ctx context.Context, w *ward) {
	w.asking = true
	known, epoch := *w, w.epoch
	ask := d.crowd == ""
	if !w.note.Judged.IsZero() {
		ask = !w.read || !w.idle()
	}
	var places []netip.AddrPort
	for _, p := range w.patients {
		places = append(places, p.places...)
	}
	d.aside(ctx, func() outcome {
		a, err := d.ask(ctx, known, ask, places)
		return func() error {
			if d.wards[w.node] != w || w.epoch != epoch {
				return nil // it is back, and perhaps silent again
			}
			w.asking = false
			return d.answered(ctx, w, a, err)
		}
	})
}

// ask is an inquiry's work, away from the owning goroutine: w is a copy.
func (d *duty) ask(ctx context.Context, w ward, far bool, places []netip.AddrPort) (answer, error) {
	r, err := d.term.Examine(ctx, w.node)
	a := answer{remains: r, fit: true}
	if err != nil || !far || d.waits(w, r, time.Now()) > 0 {
		return a, err
	}
	w.remains = r
	host := w.host()
	var hostAnswers map[netip.AddrPort]bool
	var fit bool
	var view outlook
	var viewErr error
	asked := make(chan struct{})
	d.work.Go(func() {
		defer close(asked)
		looked := make(chan struct{})
		d.work.Go(func() {
			defer close(looked)
			view, viewErr = d.outlooks.join(ctx, w.node)
		})
		hostAnswers, fit = d.network.Ask(ctx, d.hostPlaces(host))
		<-looked
	})
	if !w.read {
		a.patients, err = d.admit(ctx, r, host)
		places = nil
		for _, p := range a.patients {
			places = append(places, p.places...)
		}
	}
	answers, fitToo := d.network.Ask(ctx, distinct(places))
	<-asked
	if err := errors.Join(err, viewErr); err != nil {
		return a, err
	}
	for place, answered := range hostAnswers {
		answers[place] = answers[place] || answered
	}
	a.answers, a.fit, a.outlook, a.asked = answers, fit && fitToo, view, true
	return a, nil
}

func distinct(places []netip.AddrPort) []netip.AddrPort {
	slices.SortFunc(places, netip.AddrPort.Compare)
	return slices.Compact(places)
}

func (d *duty) hostPlaces(host netip.Addr) []netip.AddrPort {
	var places []netip.AddrPort
	if host.IsValid() {
		for _, port := range d.cfg.HostPorts {
			places = append(places, netip.AddrPortFrom(host, port))
		}
	}
	return places
}

// admit reads the statuses of a node, and how each is asked from here.
func (d *duty) admit(ctx context.Context, r status.Remains, host netip.Addr) (map[status.Key]*patient, error) {
	found, err := d.scans.join(ctx, r.Node)
	if err != nil {
		return nil, err
	}
	r, err = d.term.Read(ctx, r, found[r.Node])
	if err != nil {
		return nil, err
	}
	patients := map[status.Key]*patient{}
	for _, e := range r.Statuses {
		patients[e.Key] = d.patient(e, host)
	}
	return patients, nil
}

func (d *duty) patient(e status.Entry, host netip.Addr) *patient {
	p := &patient{entry: e}
	if len(e.Status.Check) == 0 || !host.IsValid() {
		return p
	}
	check, target, err := d.parser.Recall(e.Status.Check)
	if err != nil {
		d.log.Info("a container of a silent node cannot be asked from here", zap.String("name", e.Status.Name), zap.Error(err))
		return p
	}
	for _, place := range target.Places() {
		if !d.network.Along(host, place.Addr()) {
			return p
		}
	}
	p.check, p.target, p.places = check, target, target.Places()
	return p
}

// waits is how long a node that was examined is left alone: for its grace, or
// because its agent gave a sign of life.
func (d *duty) waits(w ward, r status.Remains, now time.Time) time.Duration {
	if !w.note.Judged.IsZero() {
		return 0
	}
	if !r.Owner.Stopping {
		return 0
	}
	return w.note.Since.Add(d.cfg.Grace).Sub(now)
}

// answered acts on an inquiry's outcome.
func (d *duty) answered(ctx context.Context, w *ward, a answer, err error) error {
	now := time.Now()
	w.due = now.Add(again)
	if err != nil {
		d.log.Warn("a silent node cannot be looked into; it is tried again", zap.String("node", w.node), zap.Error(err))
		return nil
	}
	r := a.remains
	switch {
	case r.Present: // the watch is about to tell
		return nil
	case !r.Known(), !r.Owner.Session:
		d.drop(w)
		return nil
	case w.remains.Known() && w.remains.Owner.Sequence != r.Owner.Sequence:
		d.readmit(w, r, now.Add(stirred))
		return nil
	}
	d.note(w)
	w.remains = r
	if wait := d.waits(*w, r, now); wait > 0 {
		w.due = now.Add(wait)
		return nil
	}
	if a.patients != nil {
		w.patients, w.read = a.patients, true
		for _, p := range w.patients {
			p.ward = w
		}
	}
	switch {
	case !a.asked && w.read && w.idle() && !w.note.Judged.IsZero():
		w.due = now.Add(lookEvery)
		return d.outlived(ctx, w, now)
	case !a.asked: // it is when the guard is down
		w.due = now.Add(lookEvery)
		return nil
	case d.held(w, a):
		return nil
	}
	return d.sentence(ctx, w, a, now)
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
func (d *duty) sentence(ctx context.Context, w *ward, a answer, now time.Time) error {
	host := w.note.Host
	for _, p := range w.judge(a, d.cfg.Node, now) {
		d.attend(p)
	}
	w.due = now.Truncate(recheckEvery).Add(recheckEvery) // all together, so that they share what they ask for
	if w.note.Judged.IsZero() {
		w.note.Judged = now.UTC()
		d.log.Warn("a node is silent", zap.String("node", w.node), zap.Time("since", w.note.Since), zap.String("host", w.note.Host),
			zap.Int("containers", len(w.patients)))
	}
	if w.note.Host != host {
		note := w.note
		d.notes[w.node] = &note
	}
	d.write(ctx, w)
	return nil
}

// treat acts on a verdict about one patient, and says whether it asks for an
// inquiry.
func (d *duty) treat(ctx context.Context, p *patient, r healthcheck.Result) bool {
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
