package agent_test

import (
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/projecteru2/eru-agent/healthcheck"
	"github.com/projecteru2/eru-agent/status"
)

// checks is an agent.Checks that remembers what it was given.
type checks struct {
	results chan healthcheck.Result

	mu   sync.Mutex
	jobs map[string]healthcheck.Job
	all  []healthcheck.Job
}

func (c *checks) Set(j healthcheck.Job) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.jobs[j.ID] = j
	c.all = append(c.all, j)
}

func (c *checks) Remove(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.jobs, id)
}

func (c *checks) Results() <-chan healthcheck.Result { return c.results }

func (c *checks) job(id string) (healthcheck.Job, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	j, ok := c.jobs[id]
	return j, ok
}

// etcd is an agent.Publisher that acts as *status.Writer and an etcd behind it:
// once the agent has adopted what stood there, the newest wanted value of each
// key becomes visible, and one that is there already is not written again.
type etcd struct {
	mu      sync.Mutex
	adopted bool
	early   []*wanted // until then
	holds   map[status.Key]status.Status
	said    []string // every visible change
	seen    func(k status.Key, was, now *status.Status, dropped bool)
}

type wanted struct {
	key   status.Key
	value *status.Status
	gone  string
}

func (e *etcd) open() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.adopted = true
	for _, w := range e.early {
		_, there := e.holds[w.key]
		if w.value != nil && (there || w.gone == "") {
			e.put(w.key, *w.value)
		}
		if w.gone != "" {
			e.remove(w.key, w.gone)
		}
	}
	e.early = nil
}

func (e *etcd) wantedLocked(k status.Key) *wanted {
	for _, w := range e.early {
		if w.key == k {
			return w
		}
	}
	e.early = append(e.early, &wanted{key: k})
	return e.early[len(e.early)-1]
}

func (e *etcd) Set(k status.Key, s status.Status, _ time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.adopted {
		e.put(k, s)
		return
	}
	w := e.wantedLocked(k)
	w.value, w.gone = &s, ""
}

func (e *etcd) Retire(k status.Key) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.adopted {
		e.remove(k, "deleted")
		return
	}
	e.wantedLocked(k).gone = "deleted"
}

func (e *etcd) Drop(k status.Key) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.adopted {
		e.remove(k, "dropped")
		return
	}
	w := e.wantedLocked(k)
	w.value, w.gone = nil, "dropped"
}

func (e *etcd) put(k status.Key, s status.Status) {
	was, ok := e.holds[k]
	if ok && string(was.Encode(0)) == string(s.Encode(0)) {
		return
	}
	e.holds[k] = s
	old := &was
	if !ok {
		old = nil
	}
	e.tell(k, old, &s, false)
	line := fmt.Sprintf("%s %s", k.ID, s.State)
	if s.Reason != "" && s.Reason != string(s.State) {
		line += " " + s.Reason
	}
	e.said = append(e.said, line)
}

func (e *etcd) remove(k status.Key, word string) {
	was, ok := e.holds[k]
	if !ok {
		return
	}
	delete(e.holds, k)
	e.tell(k, &was, nil, word == "dropped")
	e.said = append(e.said, k.ID+" "+word+" "+k.App+"/"+k.Entrypoint)
}

func (e *etcd) tell(k status.Key, was, now *status.Status, dropped bool) {
	if e.seen != nil {
		e.seen(k, was, now, dropped)
	}
}

func (e *etcd) content() map[status.Key]status.Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	return maps.Clone(e.holds)
}
