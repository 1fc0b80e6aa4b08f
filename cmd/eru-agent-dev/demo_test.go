package main

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestStep gives a step what etcd may show after it.
func TestStep(t *testing.T) {
	shows := func(states ...string) []seen {
		all := []seen{{name: "other", state: "paused"}}
		for _, state := range states {
			all = append(all, seen{name: "web", state: state})
		}
		return all
	}
	tests := map[string]struct {
		changes []seen
		want    string
		fails   string
	}{
		"each state is written":     {shows("starting", "healthy"), "healthy", ""},
		"starting is over too soon": {shows("healthy"), "healthy", ""},
		"another state":             {shows("starting", "unhealthy"), "healthy", `waiting for "web" to become healthy in etcd: not within 15s; the last that etcd showed was "unhealthy"`},
		"nothing happens":           {nil, "healthy", `the last that etcd showed was ""`},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				p := &play{out: &out, changes: make(chan seen, len(c.changes))}
				begun := time.Now()
				for _, s := range c.changes {
					s.at = begun
					p.changes <- s
				}
				id, err := p.step(t.Context(), "web", c.want, func() (string, error) { return "id", nil })
				switch {
				case c.fails == "" && (err != nil || id != "id"):
					t.Errorf("step = %q, %v; want %q", id, err, "id")
				case c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)):
					t.Errorf("step = %v, want an error with %q", err, c.fails)
				}
				for _, s := range c.changes {
					if shown := strings.Contains(out.String(), "etcd shows "+s.state+" "); shown != (s.name == "web") {
						t.Errorf("%s of %q shown: %t", s.state, s.name, shown)
					}
				}
			})
		})
	}
}
