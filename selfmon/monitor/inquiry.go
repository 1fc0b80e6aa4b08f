package monitor

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/projecteru2/eru-agent/status"
)

// question is an inquiry about a silent node, as it was when that began.
type question struct {
	node   string
	note   status.Silence
	far    bool             // the host and the containers are asked, and not etcd alone
	known  bool             // the statuses have been read before
	places []netip.AddrPort // of the containers, if so
}

// answer is what an inquiry found.
type answer struct {
	remains  status.Remains
	patients map[status.Key]*patient // nil: the statuses were not read
	answers  map[netip.AddrPort]bool
	asked    bool // the host and the containers were
	fit      bool // this host was fit to ask
	outlook  outlook
}

// hostAnswers says whether anything came from the host's address. Of one that is
// not known that cannot be denied.
func (a answer) hostAnswers(host netip.Addr) bool {
	for place, answered := range a.answers {
		if answered && place.Addr() == host {
			return true
		}
	}
	return !host.IsValid()
}

// inquire asks about a silent node. Too many of them are not asked about
// themselves, and neither is one of which nothing is left to be lost.
func (d *duty) inquire(ctx context.Context, w *ward) {
	q := question{node: w.node, note: w.note, known: w.read, far: d.crowd == ""}
	if !w.note.Judged.IsZero() {
		q.far = !w.read || !w.idle()
	}
	for _, p := range w.patients {
		q.places = append(q.places, p.places...)
	}
	w.asking = true
	epoch := w.epoch
	d.aside(ctx, func() outcome {
		a, err := d.ask(ctx, q)
		return func() error {
			if d.wards[w.node] == w && w.epoch == epoch { // else it is back, and perhaps silent again
				w.asking = false
				d.answered(ctx, w, a, err)
			}
			return nil
		}
	})
}

// ask looks first whether the node is silent, and then asks everybody at once.
func (d *duty) ask(ctx context.Context, q question) (answer, error) {
	r, err := d.term.Examine(ctx, q.node)
	a := answer{remains: r}
	if err != nil || !q.far || r.Present || !r.Known() || !r.Owner.Session || d.leftAlone(q.note, r, time.Now()) > 0 {
		return a, err
	}
	host := address(r)
	var all sync.WaitGroup
	var hostAnswers map[netip.AddrPort]bool
	var hostFit bool
	var lookErr error
	all.Go(func() { hostAnswers, hostFit = d.network.Ask(ctx, d.hostPlaces(host)) })
	all.Go(func() { a.outlook, lookErr = d.outlooks.join(ctx, q.node) })
	if !q.known {
		a.patients, err = d.admit(ctx, r, host)
		for _, p := range a.patients {
			q.places = append(q.places, p.places...)
		}
	}
	a.answers, a.fit = d.network.Ask(ctx, distinct(q.places))
	all.Wait()
	for place, answered := range hostAnswers {
		a.answers[place] = a.answers[place] || answered
	}
	a.asked, a.fit = true, a.fit && hostFit
	return a, errors.Join(err, lookErr)
}

// leftAlone is for how long nobody asks about a node: its agent said that it
// stops, and has its grace.
func (d *duty) leftAlone(note status.Silence, r status.Remains, now time.Time) time.Duration {
	if !note.Judged.IsZero() || !r.Owner.Stopping {
		return 0
	}
	return note.Since.Add(d.cfg.Grace).Sub(now)
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

// patient is asked from here if all its places lie on the way to its host.
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
	places := target.Places()
	if slices.ContainsFunc(places, func(place netip.AddrPort) bool { return !d.network.Along(host, place.Addr()) }) {
		return p
	}
	p.check, p.target, p.places = check, target, places
	return p
}

// address is where other hosts reach the node.
func address(r status.Remains) netip.Addr {
	addr, err := netip.ParseAddr(r.Owner.Address)
	if err != nil {
		return netip.Addr{}
	}
	return addr
}

// hostPlaces are where a host is asked itself.
func (d *duty) hostPlaces(host netip.Addr) []netip.AddrPort {
	if !host.IsValid() {
		return nil
	}
	var places []netip.AddrPort
	for _, port := range d.cfg.HostPorts {
		places = append(places, netip.AddrPortFrom(host, port))
	}
	return places
}

func distinct(places []netip.AddrPort) []netip.AddrPort {
	slices.SortFunc(places, netip.AddrPort.Compare)
	return slices.Compact(places)
}
