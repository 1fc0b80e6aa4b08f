package cmd

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/projecteru2/eru-agent/status"
)

// drainWait is what is known of a drain that is waited for.
type drainWait struct {
	target  target
	tree    status.Tree
	synced  bool // tree is what etcd holds
	lost    error
	readers status.Readers
	known   bool // readers are
	ended   bool // somebody has taken it back, or its lease is over
}

// news is something that a drainWait learns.
type news func(*drainWait)

// apply learns what has changed of containers and nodes.
func (w *drainWait) apply(c status.Change) {
	w.tree.Apply(c)
	w.synced = (w.synced || c.Synced) && c.Lost == nil
	w.lost = c.Lost
}

// heardAll says that what is known is what etcd holds.
func (w *drainWait) heardAll() bool { return w.synced && w.known }

// pending are those that have not done their part yet, by name.
func (w *drainWait) pending() []string {
	if !w.heardAll() {
		return []string{"etcd"}
	}
	names := map[string]bool{}
	for k, e := range w.tree.Containers {
		switch {
		case !w.target.covers(k) || !e.Status.Running:
		case e.Status.State != status.StateDraining:
			names[w.agent(k.Node)] = true
		default:
			for _, name := range w.behind(e) {
				names[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// whom is pending in words.
func (w *drainWait) whom() string {
	text := cmp.Or(strings.Join(w.pending(), "; "), "etcd")
	if w.lost != nil {
		text += " (" + w.lost.Error() + ")"
	}
	return text
}

func (w *drainWait) agent(node string) string {
	if _, ok := w.tree.Nodes[node]; !ok {
		return "the agent of node " + node + ", which is silent"
	}
	return "the agent of node " + node
}

// behind are the readers that may still begin something new with a container
// that drains.
func (w *drainWait) behind(e status.Entry) []string {
	var names []string
	for name, r := range w.readers.Live {
		if r.Sends(e.Key) && r.Drained[e.Key.ID] < e.Revision {
			names = append(names, fmt.Sprintf("reader %s (%s)", name, r.Kind))
		}
	}
	return names
}

// followers are the readers that a drain concerns, by name.
func (w *drainWait) followers() []string {
	names := map[string]bool{}
	for k := range w.tree.Containers {
		for name, r := range w.readers.Live {
			if w.target.covers(k) && r.Sends(k) {
				names[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// await returns nil once nobody is waited for, or an error that says who is left.
func (o drainOptions) await(ctx context.Context, store *status.Store, t target, out, errs io.Writer) error {
	late, over := after(o.timeout), after(o.lasts)
	heard, stop := followDrain(ctx, store, t)
	defer stop()
	w := &drainWait{target: t, tree: status.NewTree()}
	said := ""
	for !w.ended {
		var again <-chan time.Time
		if len(w.pending()) == 0 {
			if w.confirm(ctx, store) {
				return w.done(out)
			}
			again = time.After(time.Second)
		}
		if left := w.whom(); left != said && (w.lost != nil || w.heardAll()) {
			said = left
			_, _ = fmt.Fprintln(errs, "waiting for", left)
		}
		select {
		case <-again:
		case <-ctx.Done():
			return fmt.Errorf("interrupted while waiting for %s; the drain stands", w.whom())
		case <-late:
			return fmt.Errorf("%s has passed while waiting for %s; the drain stands", o.timeout, w.whom())
		case <-over:
			w.ended = true
		case tell := <-heard:
			tell(w)
		}
	}
	return fmt.Errorf("the drain has ended while waiting for %s", w.whom())
}

// after is time.After, and 0 is never.
func after(d time.Duration) <-chan time.Time {
	if d == 0 {
		return nil
	}
	return time.After(d)
}

// confirm asks etcd itself once nobody seems to be left, and says whether that
// is so: a reader that has just come may not have been heard of.
func (w *drainWait) confirm(ctx context.Context, store *status.Store) bool {
	now, err := store.Readers(ctx)
	if err == nil {
		w.readers = now
	}
	w.lost = err
	return err == nil && len(w.pending()) == 0
}

func (w *drainWait) done(out io.Writer) error {
	text := "nothing new is sent: applied by " + strings.Join(w.followers(), ", ")
	if len(w.followers()) == 0 {
		text = "etcd says so; no proxy that says who it is follows this service"
	}
	_, err := fmt.Fprintln(out, text)
	return err
}

// followDrain tells what concerns the drain of t, until stop.
func followDrain(ctx context.Context, store *status.Store, t target) (<-chan news, func()) {
	ctx, cancel := context.WithCancel(ctx)
	heard := make(chan news)
	tell := func(n news) {
		select {
		case heard <- n:
		case <-ctx.Done():
		}
	}
	var following sync.WaitGroup
	following.Go(func() {
		_ = store.Follow(ctx, func(c status.Change) { tell(func(w *drainWait) { w.apply(c) }) })
	})
	following.Go(func() {
		_ = store.FollowReaders(ctx, func(r status.Readers) {
			tell(func(w *drainWait) { w.readers, w.known = r, true })
		})
	})
	following.Go(func() {
		_ = store.FollowDrains(ctx, t.key.Node, func(d status.Drains) {
			_, stands := d.Wishes[t.key]
			tell(func(w *drainWait) { w.ended = !stands })
		})
	})
	return heard, func() { cancel(); following.Wait() }
}
