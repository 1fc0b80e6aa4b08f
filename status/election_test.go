package status_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/projecteru2/eru-agent/status"
)

func TestElection(t *testing.T) {
	onBoth(t, map[string]func(*testing.T, *env){
		"one of many":                          oneOfMany,
		"one that resigns is followed at once": resigns,
		"one whose session ends is followed":   sessionEnds,
		"a key that is taken away ends a term": keyTaken,
		"a lease that is none":                 leaseIsNone,
		"a win that was thought lost":          winThoughtLost,
		"etcd away ends no term":               awayEndsNone,
		"a term over a lost watch":             termOverLostWatch,
	})
}

// candidacy is one who stands for election.
type candidacy struct {
	lease clientv3.LeaseID
	began chan *status.Term
	over  chan struct{} // the term's ctx has ended
	ended chan error
	stop  context.CancelFunc
}

func (e *env) stand(s *status.Store, name string, lease clientv3.LeaseID) *candidacy {
	ctx, cancel := context.WithCancel(context.Background())
	c := &candidacy{lease: lease, began: make(chan *status.Term), over: make(chan struct{}, 100), ended: make(chan error, 1), stop: cancel}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.ended <- s.Lead(ctx, status.Monitor{Node: name, Instance: name}, int64(lease), func(ctx context.Context, t *status.Term) error {
			select {
			case c.began <- t:
			case <-ctx.Done():
			}
			<-ctx.Done()
			c.over <- struct{}{}
			return nil
		})
	}()
	e.t.Cleanup(func() { cancel(); <-done })
	return c
}

func (e *env) grant() clientv3.LeaseID {
	e.t.Helper()
	lease, err := e.server.Client().Grant(context.Background(), 600)
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { _, _ = e.server.Client().Revoke(context.Background(), lease.ID) })
	return lease.ID
}

func (c *candidacy) elected(t *testing.T) *status.Term {
	t.Helper()
	select {
	case term := <-c.began:
		return term
	case <-time.After(patience):
		t.Fatal("not elected")
		return nil
	}
}

func (c *candidacy) wait(t *testing.T) {
	t.Helper()
	select {
	case <-c.over:
	case <-time.After(patience):
		t.Fatal("the term did not end")
	}
}

// oneOfMany goes through all of them, one at a time.
func oneOfMany(t *testing.T, e *env) {
	const many = 30
	var mu sync.Mutex
	serving, most, terms := 0, 0, map[string]bool{}
	store := e.store(unhurried)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var all sync.WaitGroup
	for i := range many {
		lease, name := e.grant(), fmt.Sprint("m", i)
		one, resign := context.WithCancel(ctx)
		defer resign()
		all.Go(func() {
			_ = store.Lead(one, status.Monitor{Node: name, Instance: name}, int64(lease), func(context.Context, *status.Term) error {
				mu.Lock()
				serving++
				most = max(most, serving)
				terms[name] = true
				last := len(terms) == many
				mu.Unlock()
				<-time.After(time.Millisecond) // for another one to be seen
				mu.Lock()
				serving--
				mu.Unlock()
				resign()
				if last {
					cancel()
				}
				return nil
			})
		})
	}
	all.Wait()
	if len(terms) != many || most != 1 {
		t.Errorf("%d of %d were elected, %d at once", len(terms), many, most)
	}
}

func resigns(t *testing.T, e *env) {
	store := e.store(unhurried)
	first := e.stand(store, "first", e.grant())
	first.elected(t)
	second := e.stand(store, "second", e.grant())
	first.stop()
	second.elected(t)
}

func sessionEnds(t *testing.T, e *env) {
	store := e.store(unhurried)
	first := e.stand(store, "first", e.grant())
	term := first.elected(t)
	second := e.stand(store, "second", e.grant())
	e.revoke(first.lease)
	first.wait(t)
	next := second.elected(t)
	if next.Revision() <= term.Revision() {
		t.Errorf("term %d after %d", next.Revision(), term.Revision())
	}
	if err := term.Note(t.Context(), map[string]*status.Silence{"n": {Since: moment}}); !errors.Is(err, status.ErrOver) {
		t.Errorf("a note of the former: %v", err)
	}
	if err := next.Note(t.Context(), map[string]*status.Silence{"n": {Since: moment}}); err != nil {
		t.Errorf("a note of the next: %v", err)
	}
}

func keyTaken(t *testing.T, e *env) {
	c := e.stand(e.store(unhurried), "one", e.grant())
	first := c.elected(t)
	e.delete("/selfmon/active")
	c.wait(t)
	if next := c.elected(t); next.Revision() <= first.Revision() {
		t.Errorf("term %d after %d", next.Revision(), first.Revision())
	}
}

func leaseIsNone(t *testing.T, e *env) {
	c := e.stand(e.store(unhurried), "one", 12345)
	select {
	case err := <-c.ended:
		if !errors.Is(err, status.ErrSessionLost) {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(patience):
		t.Error("it stands without a session")
	}
}

func winThoughtLost(t *testing.T, e *env) {
	lease := e.grant()
	e.put("/selfmon/active", `{"node":"one","instance":"one"}`, clientv3.WithLease(lease))
	_, rev := e.get("/selfmon/active")
	if term := e.stand(e.store(unhurried), "one", lease).elected(t); term.Revision() != rev {
		t.Errorf("term %d, want %d", term.Revision(), rev)
	}
}

// awayEndsNone: the session tells, by its own clock, and the fence holds.
func awayEndsNone(t *testing.T, e *env) {
	proxy := e.proxy()
	c := e.stand(e.store(hasty), "one", e.grant())
	term := c.elected(t)
	proxy.Cut()
	proxy.Resume()
	eventually(t, "a note to be taken", func() bool {
		return term.Note(context.Background(), map[string]*status.Silence{"n": {Since: moment}}) == nil
	})
	select {
	case <-c.over:
		t.Error("the term has ended")
	default:
	}
}

// termOverLostWatch ends while etcd cannot be heard, and what is to be heard has
// been compacted since.
func termOverLostWatch(t *testing.T, e *env) {
	proxy := e.proxy()
	c := e.stand(e.store(hasty), "one", e.grant())
	c.elected(t)
	proxy.Cut()
	e.delete("/selfmon/active")
	e.put("/selfmon/active", `{"node":"two","instance":"two"}`)
	if _, err := e.server.Client().Compact(context.Background(), e.revision()); err != nil {
		t.Fatal(err)
	}
	proxy.Resume()
	c.wait(t)
}
