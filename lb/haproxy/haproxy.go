package haproxy

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/projecteru2/eru-agent/lb"
	"github.com/projecteru2/eru-agent/status"
)

// lookEvery is how often it is looked whether HAProxy is still the same process.
const lookEvery = 250 * time.Millisecond

// Config says how HAProxy is reached and what is whose in it.
type Config struct {
	Socket string // the path of its runtime socket, level admin
	// StateFile is what HAProxy loads when it starts (load-server-state-from-file);
	// "" for none.
	StateFile string
	Prefix    string // of the servers in its backends that are to be used: their server-template's
	Add       string // settings of a server that is added when the template is used up
	Routes    []lb.Route
}

// Outlet brings HAProxy to what services are.
type Outlet struct {
	cfg    Config
	socket socket
	log    *zap.Logger
	lost   chan struct{}

	reloads prometheus.Counter
	up      prometheus.Gauge
	orders  prometheus.Counter

	mu      sync.Mutex
	process process                    // the one that given is of
	given   map[string]*status.Service // backend -> what it was to be brought to last
	failing map[string]bool            // backends that were not brought to it
	known   map[string]string          // backend -> its rows in the state file
	header  string
	written string // what stands in the state file
}

// New returns an Outlet; its metrics are registered with reg.
func New(cfg Config, log *zap.Logger, reg prometheus.Registerer) *Outlet {
	o := &Outlet{
		cfg: cfg, socket: socket(cfg.Socket), log: log, lost: make(chan struct{}, 1),
		reloads: prometheus.NewCounter(prometheus.CounterOpts{Name: "eru_lb_haproxy_reloads_total", Help: "How often another HAProxy has answered than before: it was reloaded, or has been started again."}),
		up:      prometheus.NewGauge(prometheus.GaugeOpts{Name: "eru_lb_haproxy_up", Help: "1 while HAProxy answers at its socket."}),
		orders:  prometheus.NewCounter(prometheus.CounterOpts{Name: "eru_lb_haproxy_commands_total", Help: "Commands that change HAProxy."}),
		given:   map[string]*status.Service{}, failing: map[string]bool{}, known: map[string]string{},
	}
	reg.MustRegister(o.reloads, o.up, o.orders)
	return o
}

// Lost implements lb.Outlet.
func (o *Outlet) Lost() <-chan struct{} { return o.lost }

// Run looks for another HAProxy in the place of the one that was, until ctx ends;
// then it returns nil.
func (o *Outlet) Run(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		p, err := o.look(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			o.up.Set(0)
		default:
			o.up.Set(1)
			o.meet(p)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (o *Outlet) look(ctx context.Context) (process, error) {
	answer, err := o.socket.ask(ctx, "show info")
	if err != nil {
		return process{}, err
	}
	return parseInfo(answer)
}

// meet forgets what HAProxy was given if p is another one, and says whether it is
// the same.
func (o *Outlet) meet(p process) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	was := o.process
	o.process = p
	if !p.follows(was) {
		return true
	}
	clear(o.given)
	if was == (process{}) { // the first one that is met
		return true
	}
	o.reloads.Inc()
	o.log.Info("another HAProxy answers: it was reloaded or started again", zap.Int("pid", p.pid), zap.Int("former", was.pid))
	select {
	case o.lost <- struct{}{}:
	default:
	}
	return false
}

// task is one backend and what it shall have.
type task struct {
	route   lb.Route
	service *status.Service
	wish    wish
}

// Apply implements lb.Outlet. It looks at the backends of services that are
// others than before, or at all if none is.
func (o *Outlet) Apply(ctx context.Context, services []*status.Service) error {
	p, err := o.look(ctx)
	if err != nil {
		o.forget()
		return err
	}
	o.meet(p)
	tasks := o.due(services)
	errs, err := o.perform(ctx, tasks)
	if err == nil {
		p, err = o.look(ctx)
	}
	if err != nil {
		o.forget()
		return err
	}
	if !o.meet(p) {
		return faultf(whySocket, "HAProxy was started again while it was told of %d services", len(tasks))
	}
	return errors.Join(append(errs, o.save())...)
}

func (o *Outlet) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.given)
}

// due returns what is to be looked at: what is new and what has failed before,
// or all if nothing is new.
func (o *Outlet) due(services []*status.Service) []task {
	o.mu.Lock()
	defer o.mu.Unlock()
	byName := map[string]*status.Service{}
	for _, s := range services {
		byName[s.App+"/"+s.Entrypoint] = s
	}
	var changed, all []task
	isNew := false
	for _, route := range o.cfg.Routes {
		s := byName[route.App+"/"+route.Entrypoint]
		if s == nil {
			continue
		}
		t := task{route, s, wanted(route, s)}
		all = append(all, t)
		switch {
		case o.given[route.Backend] != s:
			o.given[route.Backend] = s
			changed, isNew = append(changed, t), true
		case o.failing[route.Backend]:
			changed = append(changed, t)
		}
	}
	if isNew {
		return changed
	}
	return all
}

// perform does all tasks: what gets less in all of them first. It returns what
// is wrong with single services, or an error that is of all.
func (o *Outlet) perform(ctx context.Context, tasks []task) ([]error, error) {
	stands, err := o.read(ctx, tasks)
	if err != nil {
		return nil, err
	}
	var whole plan
	for _, t := range tasks {
		if rows, ok := stands[t.route.Backend]; ok {
			p := o.slots(t, rows).plan(t.wish)
			whole.cuts, whole.adds, whole.tidy = append(whole.cuts, p.cuts...), append(whole.adds, p.adds...), append(whole.tidy, p.tidy...)
		}
	}
	orders := append(append(whole.cuts, whole.adds...), whole.tidy...)
	o.orders.Add(float64(len(orders)))
	against, err := o.socket.tell(ctx, orders)
	if err != nil {
		return nil, err
	}
	if len(orders) > 0 {
		if stands, err = o.read(ctx, tasks); err != nil {
			return nil, err
		}
	}
	return o.verify(tasks, stands, against), nil
}

func (o *Outlet) slots(t task, rows []row) slots {
	return slots{backend: t.route.Backend, prefix: o.cfg.Prefix, add: o.cfg.Add, rows: rows}
}

// verify returns what stands otherwise than the tasks have it; against is what
// HAProxy had to say.
func (o *Outlet) verify(tasks []task, stands map[string][]row, against []string) []error {
	o.mu.Lock()
	defer o.mu.Unlock()
	var errs []error
	for _, t := range tasks {
		rows, ok := stands[t.route.Backend]
		err := o.wrong(t, rows, ok, against)
		o.failing[t.route.Backend] = err != nil
		if err != nil {
			errs = append(errs, &lb.ServiceError{App: t.route.App, Entrypoint: t.route.Entrypoint, Err: err})
		}
	}
	return errs
}

// wrong is what is wrong with one backend, nil for nothing.
func (o *Outlet) wrong(t task, rows []row, there bool, against []string) error {
	if !there {
		return faultf(whyBackend, "HAProxy's configuration has no backend %q", t.route.Backend)
	}
	s := o.slots(t, rows)
	switch lack := s.lacks(t.wish); {
	case lack == "":
		return nil
	case s.full():
		return faultf(whySlots, "backend %q: %s, because all slots are used (%s1, %s2, …) and HAProxy adds no server: %s",
			t.route.Backend, lack, s.prefix, s.prefix, said(against))
	default:
		return faultf(whyRefused, "backend %q: %s: HAProxy says: %s", t.route.Backend, lack, said(against))
	}
}

func said(against []string) string {
	if len(against) == 0 {
		return "nothing"
	}
	return excerpt(against[0])
}

// read returns the servers of the backends that HAProxy has, of those that tasks
// are of and of those that were never read.
func (o *Outlet) read(ctx context.Context, tasks []task) (map[string][]row, error) {
	backends := o.unread()
	for _, t := range tasks {
		backends = append(backends, t.route.Backend)
	}
	stands := map[string][]row{}
	if len(backends) > 1 {
		if err := o.readInto(ctx, stands, ""); err != nil {
			return nil, err
		}
	}
	for _, backend := range backends {
		if _, ok := stands[backend]; ok {
			continue
		}
		if err := o.readInto(ctx, stands, backend); err != nil {
			return nil, err
		}
	}
	return stands, nil
}

// readInto adds to stands what HAProxy has of one backend, or with "" of all
// that have a server.
func (o *Outlet) readInto(ctx context.Context, stands map[string][]row, backend string) error {
	answer, err := o.socket.ask(ctx, strings.TrimSpace("show servers state "+backend))
	if err != nil {
		return err
	}
	if backend != "" && strings.HasPrefix(answer, "Can't find backend") {
		o.keep(backend, "", nil)
		return nil
	}
	s, err := parseState(answer)
	if err != nil {
		return err
	}
	found := map[string][]row{}
	if backend != "" {
		found[backend] = nil // it may have no server
	}
	for _, r := range s.rows {
		found[r.backend] = append(found[r.backend], r)
	}
	for name, rows := range found {
		stands[name] = rows
		o.keep(name, s.header, rows)
	}
	return nil
}
