package status

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// beside are the projections of which keys of this node may stand beside its
// statuses; its owner record says so to the next agent.
func (w *Writer) beside() []Projection {
	if w.traefik || w.clearing {
		return []Projection{Traefik}
	}
	return nil
}

// inheritLocked gives e, whose key was found, the server that an earlier agent
// may have written.
func (w *Writer) inheritLocked(e *entry, k Key) {
	switch {
	case w.traefik:
		w.sweeps[w.keys.serve(e, k).service] = true
	case w.clearing:
		w.keys.serve(e, k).out = true
	}
}

// served takes over what a transaction did to e's server.
func (w *Writer) served(e *entry, wr write, rev int64) {
	s := wr.server
	if s == nil {
		return
	}
	if s.has = wr.leaves; s.has == (serverValues{}) {
		rev = 0
	} else if s.rev[0] <= 0 {
		w.sweeps[s.service] = true
	}
	s.rev = [2]int64{rev, rev}
	if s.out {
		w.keys.unserve(e) // if it was the last of its service it still stands
	}
}

// tidy does what can wait until all statuses are written.
func (w *Writer) tidy(ctx context.Context) error {
	for service := range w.sweeps {
		if err := w.sweep(ctx, service); err != nil {
			return fmt.Errorf("sweeping the servers at %q: %w", serversOf(service), err)
		}
		delete(w.sweeps, service)
	}
	if !w.clearing || w.serves() {
		return nil
	}
	w.clearing = false
	return w.move(ctx, w.rev, w.seq+1) // says in the owner record that nothing is left
}

// serves says whether a server of this node may stand.
func (w *Writer) serves() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.keys.servers {
		if e.server.stands() {
			return true
		}
	}
	return false
}

// sweep removes the servers of a service that were left because they were the
// last: nobody is behind them, and there is one of ours now. One that somebody
// brings back at the same moment has another revision, and stays.
func (w *Writer) sweep(ctx context.Context, service string) error {
	owners := ownersOf(service)
	own := w.oneOf(service)
	if own == "" || len(owners) >= maxOperations {
		return nil
	}
	read := []clientv3.Op{clientv3.OpGet(serversOf(service), clientv3.WithPrefix())}
	for _, o := range owners {
		read = append(read, clientv3.OpGet(w.store.keys.service(o.App, o.Entrypoint), clientv3.WithPrefix(), clientv3.WithKeysOnly()))
	}
	resp, err := w.transact(ctx, read, nil)
	if err != nil {
		return err
	}
	if !resp.Succeeded {
		return errMoved
	}
	behind := map[string]bool{}
	var named []string
	for i, o := range owners {
		kvs := resp.Responses[i+1].GetResponseRange().Kvs
		for _, kv := range kvs {
			if k, err := w.store.keys.parse(string(kv.Key)); err == nil {
				behind[serverID(k.ID)] = true
			}
		}
		if len(kvs) > 0 {
			named = append(named, o.App+" "+o.Entrypoint)
		}
	}
	w.nameShared(service, named)
	for _, left := range leftovers(service, resp.Responses[0].GetResponseRange().Kvs, behind) {
		conditions := append(left.conditions(), anyKey(own, own+"\x00")...)
		if _, err := w.transact(ctx, []clientv3.Op{clientv3.OpDelete(left.at, clientv3.WithPrefix())}, nil, conditions...); err != nil {
			return err
		}
	}
	return nil
}

// oneOf is the key of a server of this node in a service.
func (w *Writer) oneOf(service string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.keys.servers {
		if e.server.service == service && e.server.rev[0] > 0 {
			return e.server.urlKey()
		}
	}
	return ""
}

// nameShared says once that the containers of several apps and entrypoints are
// one service to Traefik.
func (w *Writer) nameShared(service string, owners []string) {
	if len(owners) < 2 || w.shared[service] {
		return
	}
	w.shared[service] = true
	w.log.Warn("different apps and entrypoints have one name for Traefik, which sends the requests of each to the containers of all; rename one",
		zap.String("service", service), zap.Strings("of", owners))
}

// ownersOf are all apps and entrypoints that Traefik knows by the name of
// service.
func ownersOf(service string) []Key {
	var owners []Key
	for i, c := range service {
		if app, entrypoint := service[:i], service[min(i+1, len(service)):]; c == '-' && ValidName(app) && ValidName(entrypoint) {
			owners = append(owners, Key{App: app, Entrypoint: entrypoint})
		}
	}
	return owners
}

// leftovers are those of a service's servers that get no traffic and are of no
// container. A name that is no container's ID is somebody else's.
func leftovers(service string, kvs []*mvccpb.KeyValue, behind map[string]bool) []*server {
	left := map[string]*server{}
	for _, kv := range kvs {
		id, field, _ := strings.Cut(strings.TrimPrefix(string(kv.Key), serversOf(service)), "/")
		if behind[id] || len(id) != 12 || strings.Trim(id, "0123456789abcdef") != "" {
			continue
		}
		s, ok := left[id]
		if !ok {
			s = &server{service: service, at: serversOf(service) + id + "/"}
			left[id] = s
		}
		switch field {
		case "url":
			s.has.url, s.rev[0] = string(kv.Value), kv.ModRevision
		case "weight":
			s.has.weight, s.rev[1] = string(kv.Value), kv.ModRevision
		}
	}
	maps.DeleteFunc(left, func(_ string, s *server) bool { return s.has.weight != "0" })
	return slices.Collect(maps.Values(left))
}
