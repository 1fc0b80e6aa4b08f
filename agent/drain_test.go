package agent_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/projecteru2/eru-agent/healthcheck"
	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/watcher"
)

// wished is an operator's wish for c1 that lasts.
func wished(lasts time.Duration) map[string]status.Drain {
	d := status.Drain{By: "ops@host", Reason: "a new disk"}
	if lasts > 0 {
		d.Until = time.Now().Add(lasts).UTC().Round(0)
	}
	return map[string]status.Drain{"c1": d}
}

func TestDrainedByAnOperatorAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t)
		r.running(box("c1", probedLabels()))
		r.passes("c1")
		r.forget()
		elapse(time.Minute)
		began := time.Now()
		r.drain(wished(0))
		r.says("c1 draining drain")
		if _, s := r.only(); s.Detail != "by ops@host: a new disk, until it is taken back" || !s.Since.Equal(began) || s.Reason != "drain" {
			t.Errorf("%+v", s)
		}
		r.population(map[status.State]int{"draining": 1})
		elapse(time.Hour)
		r.fails("c1", "timeout")
		r.passes("c1")
		r.says() // probing goes on, and is nobody's business
		r.drain(nil)
		r.says("c1 healthy")
		if _, s := r.only(); !s.Since.Equal(time.Now()) || s.Reason != "" || s.Detail != "" {
			t.Errorf("%+v", s)
		}
		r.population(map[status.State]int{"healthy": 1})
	})
}

// When the wish ends, by whichever end comes first, the last verdict counts.
func TestEndOfADrainShowsTheLastVerdict(t *testing.T) {
	ends := map[string]func(r *rig){
		"taken back": func(r *rig) { r.drain(nil) },
		"until": func(*rig) {
			elapse(10*time.Minute - 3*time.Second - time.Nanosecond)
			elapse(time.Nanosecond)
		},
	}
	for how, end := range ends {
		for name, tt := range map[string]struct {
			before, during func(r *rig)
			want           string
		}{
			"passed before":            {func(r *rig) { r.passes("c1") }, func(*rig) {}, "c1 healthy"},
			"failed before":            {func(r *rig) { r.passes("c1"); r.fails("c1", "timeout") }, func(*rig) {}, "c1 unhealthy timeout"},
			"passes while it drains":   {func(*rig) {}, func(r *rig) { r.passes("c1") }, "c1 healthy"},
			"fails while it drains":    {func(r *rig) { r.passes("c1") }, func(r *rig) { r.fails("c1", "http_code") }, "c1 unhealthy http_code"},
			"never passed, failed":     {func(r *rig) { r.fails("c1", "timeout") }, func(*rig) {}, "c1 starting timeout"},
			"never asked, is starting": {func(*rig) {}, func(*rig) {}, "c1 starting"},
		} {
			t.Run(how+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := openRig(t)
					r.running(box("c1", probedLabels()))
					tt.before(r)
					r.forget()
					r.drain(wished(10 * time.Minute))
					elapse(3 * time.Second)
					tt.during(r)
					r.says("c1 draining drain")
					end(r)
					r.says(tt.want)
				})
			})
		}
	}
}

func TestADrainEndsByTheAgentsClockWhateverEtcdSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t)
		r.running(box("c1", plainLabels()))
		r.forget()
		wish := wished(10 * time.Minute)
		wish[status.WholeNode] = status.Drain{By: "night", Until: wish["c1"].Until.Add(time.Minute)}
		r.drain(wish)
		elapse(10*time.Minute - time.Nanosecond)
		r.says("c1 draining drain")
		elapse(time.Nanosecond)
		if _, s := r.only(); !strings.HasPrefix(s.Detail, "whole node, by night, until ") {
			t.Errorf("after its own wish the node's holds: %+v", s)
		}
		r.says("c1 draining drain")
		elapse(time.Minute)
		r.says("c1 healthy")
		r.drain(wish) // still there, as a lease may be
		r.says()
	})
}

func TestOneStartsDrained(t *testing.T) {
	for name, labels := range map[string]map[string]string{"probed": probedLabels(), "no check": plainLabels()} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := openRig(t)
				r.drain(map[string]status.Drain{status.WholeNode: {By: "ops"}})
				c := box("c1", labels)
				r.running(c)
				r.says("c1 draining drain")
				r.exited(c, watcher.Exit{})
				elapse(time.Second)
				c.Started = time.Now()
				r.running(c) // another life, the same wish
				r.says("c1 stopped exited", "c1 draining drain")
				if _, s := r.only(); !s.Since.Equal(c.Started) {
					t.Errorf("since %s, want %s", s.Since, c.Started)
				}
			})
		})
	}
}

// TestRanksOfADrain holds what is told of a container that is drained and
// something else besides, in either order, and what is left when the wish ends.
func TestRanksOfADrain(t *testing.T) {
	for name, tt := range map[string]struct {
		labels map[string]string
		change func(r *rig, c watcher.Container)
		both   string
		after  string // "" for no change
	}{
		"stop signal": {probedLabels(), func(r *rig, c watcher.Container) { r.stopping(c, syscall.SIGTERM) }, "draining stop_signal", ""},
		"death":       {probedLabels(), func(r *rig, c watcher.Container) { r.exited(c, watcher.Exit{}) }, "stopped exited", ""},
		"paused":      {probedLabels(), func(r *rig, c watcher.Container) { c.Paused = true; r.running(c) }, "draining drain", "c1 paused"},
		"no address":  {probedLabels(), func(r *rig, c watcher.Container) { c.Addr = netip.Addr{}; r.running(c) }, "draining drain", "c1 unhealthy no_address"},
		"invalid":     {map[string]string{"eru.health.http.port": "x"}, func(*rig, watcher.Container) {}, "draining drain", "c1 invalid label"},
		"unhealthy":   {probedLabels(), func(r *rig, _ watcher.Container) { r.fails("c1", "timeout") }, "draining drain", "c1 unhealthy timeout"},
	} {
		for _, order := range []string{"drained first", "drained last"} {
			t.Run(name+"/"+order, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := openRig(t)
					c := box("c1", tt.labels)
					r.running(c)
					if tt.labels["eru.health.http.port"] == "80" {
						r.passes("c1")
					}
					if order == "drained first" {
						r.drain(wished(0))
						tt.change(r, c)
					} else {
						tt.change(r, c)
						r.drain(wished(0))
					}
					r.forget()
					_, s := r.only()
					if got := string(s.State) + " " + s.Reason; got != tt.both {
						t.Errorf("both: %s, want %s", got, tt.both)
					}
					since := s.Since
					elapse(time.Second)
					r.drain(nil)
					if tt.after == "" {
						r.says()
					} else {
						r.says(tt.after)
						since = time.Now()
					}
					if _, s := r.only(); !s.Since.Equal(since) {
						t.Errorf("since %s, want %s", s.Since, since)
					}
				})
			})
		}
	}
}

// A container that outlives its stop and passes comes back to its drain.
func TestStopThatIsOutlivedWhileDrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t)
		c := box("c1", probedLabels())
		r.running(c)
		r.passes("c1")
		r.forget()
		r.drain(wished(0))
		_, first := r.only()
		elapse(time.Second)
		r.stopping(c, syscall.SIGTERM)
		elapse(time.Second)
		r.drain(nil) // is not its way out
		r.drain(wished(0))
		r.says("c1 draining drain", "c1 draining stop_signal")
		elapse(10 * time.Second)
		r.passes("c1")
		r.says("c1 draining drain")
		if _, s := r.only(); !s.Since.Equal(first.Since) {
			t.Errorf("it has drained since %s, and says %s", first.Since, s.Since)
		}
		r.drain(nil)
		r.says("c1 healthy")
	})
}

func TestRemovedWhileDrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t)
		r.synced()
		c := box("c1", plainLabels())
		r.running(c)
		r.drain(wished(0))
		r.exited(c, watcher.Exit{})
		r.removed("c1")
		r.says("c1 healthy", "c1 draining drain", "c1 stopped exited", "c1 deleted web/web")
		r.drain(wished(0))
		r.drain(nil)
		r.says()
		r.population(nil)
		r.ignored(nil)
	})
}

// TestTakeOverOfADrain is the agent's restart in the middle of one: it never
// shows anything else, and ends it as the former one would have.
func TestTakeOverOfADrain(t *testing.T) {
	detail := "by ops@host: a new disk, until it is taken back"
	for name, tt := range map[string]struct {
		labels  map[string]string
		wishes  map[string]status.Drain
		verdict func(r *rig)
		ended   []string // what is said after the end of the wish
		late    []string // and after a verdict that comes then only
	}{
		"still wished, passed":         {probedLabels(), wished(0), func(r *rig) { r.passes("c1") }, []string{"c1 healthy"}, nil},
		"still wished, failed":         {probedLabels(), wished(0), func(r *rig) { r.fails("c1", "timeout") }, []string{"c1 unhealthy timeout"}, nil},
		"still wished, not yet asked":  {probedLabels(), wished(0), func(*rig) {}, nil, []string{"c1 healthy"}},
		"still wished, no check":       {plainLabels(), wished(0), func(*rig) {}, []string{"c1 healthy"}, nil},
		"taken back, passes":           {probedLabels(), nil, func(*rig) {}, nil, []string{"c1 healthy"}},
		"taken back, no check":         {plainLabels(), nil, func(*rig) {}, []string{"c1 healthy"}, nil},
		"over by now, not yet asked":   {probedLabels(), map[string]status.Drain{"c1": {Until: time.Unix(1, 0)}}, func(*rig) {}, nil, []string{"c1 healthy"}},
		"of the whole node, no longer": {probedLabels(), map[string]status.Drain{"c2": {}}, func(*rig) {}, nil, []string{"c1 healthy"}},
	} {
		t.Run(name, func(t *testing.T) {
			eitherOrder(t, func(t *testing.T, r *rig, begin func(watcher.Container, ...status.Found)) {
				c := box("c1", tt.labels)
				f := foundOf(c, status.StateDraining, "drain")
				f.Status.Detail = detail
				if tt.labels["ERU"] != "" {
					f.Status.Endpoints = nil
				}
				r.drain(tt.wishes)
				begin(c, f)
				if tt.wishes == nil && tt.labels["ERU"] != "" {
					r.says(tt.ended...) // nobody has to be asked
					return
				}
				r.says()
				tt.verdict(r)
				elapse(2 * time.Second)
				r.says() // to the byte what stands there
				r.drain(nil)
				r.says(tt.ended...)
				if tt.late != nil {
					r.passes("c1")
					r.says(tt.late...)
				}
			})
		})
	}
}

// An agent that found a drain and whose first verdict came before etcd could be
// read has that verdict.
func TestTakeOverOfADrainAfterAVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nodeConfig())
		c := box("c1", probedLabels())
		r.running(c)
		r.fails("c1", "timeout")
		elapse(time.Second)
		r.drain(wished(0))
		f := foundOf(c, status.StateDraining, "drain")
		f.Status.Detail = "by ops@host: a new disk, until it is taken back"
		r.adopt(f)
		r.says()
		r.drain(nil)
		r.says("c1 unhealthy timeout") // one that was drained has been more than starting
	})
}

// Nothing is published before the wishes are known, so that what is drained
// does not come back for a moment.
func TestNothingIsAdoptedBeforeTheWishesAreKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nodeConfig())
		adopted := make(chan error, 1)
		go func() { adopted <- r.agent.Adopt(t.Context(), nil) }()
		r.running(box("c1", plainLabels()))
		elapse(time.Hour)
		select {
		case err := <-adopted:
			t.Fatalf("adopted, %v", err)
		default:
		}
		r.drain(wished(0))
		if err := <-adopted; err != nil {
			t.Error(err)
		}
		r.etcd.open()
		r.says("c1 draining drain")
	})
}

func (r *rig) ignored(want map[string]int) {
	r.t.Helper()
	text := ""
	for _, why := range []string{"json", "key", "over", "size", "unknown"} {
		text += fmt.Sprintf("eru_agent_drains_ignored_total{why=%q} %d\n", why, want[why])
	}
	r.counts("eru_agent_drains_ignored_total", text)
}

func TestGarbageAmongDrainsIsCountedAndNamedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t)
		r.running(box("c1", plainLabels()))
		r.forget()
		bad := status.Unread{Key: "/eru/drain/n1/x", Revision: 5, Why: "json"}
		worse := bad
		worse.Revision, worse.Why = 6, "size"
		wishes := map[string]status.Drain{"c9": {By: "ops"}, "c1": {Until: time.Now().Add(-time.Second)}}
		for range 3 {
			r.drain(wishes, bad)
		}
		r.ignored(map[string]int{"json": 1}) // whether c9 is here is not known before Docker has told
		r.synced()
		for range 3 {
			r.drain(wishes, worse, status.Unread{Key: "/eru/drain/n1/a/" + strings.Repeat("b", 1<<20), Revision: 2, Why: "key"})
		}
		r.ignored(map[string]int{"json": 1, "size": 1, "key": 1, "unknown": 1, "over": 1})
		r.says()
		want := []string{"a drain is of a container that is not here", "a drain is over already by this machine's clock",
			"a drain that cannot be read changes nothing", "a drain that cannot be read changes nothing"}
		var got []string
		for _, entry := range r.logs.TakeAll() {
			got = append(got, entry.Message)
			if key, _ := entry.ContextMap()["key"].(string); len(key) > healthcheck.MaxDetail {
				t.Errorf("a key of %d bytes is logged", len(key))
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("the log says %q, want %q", got, want)
		}
		r.drain(nil)
		r.drain(wishes, bad)
		r.ignored(map[string]int{"json": 2, "size": 1, "key": 1, "unknown": 2, "over": 2})
	})
}
