package haproxy

import (
	"context"
	"strings"
)

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
