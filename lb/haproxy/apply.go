package haproxy

import (
	"context"
	"errors"

	"github.com/projecteru2/eru-agent/lb"
	"github.com/projecteru2/eru-agent/status"
)

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
