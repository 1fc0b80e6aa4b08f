package status_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/projecteru2/eru-agent/status"
)

func TestView(t *testing.T) {
	onBoth(t, map[string]func(*testing.T, *env){
		"what stands there and what changes": viewsAll,
	})
}

// view is a View that runs until the test ends, or until stop is called.
type view struct {
	*status.View
	t    *testing.T
	stop func()
}

func runView(t *testing.T, s *status.Store, cfg status.ViewConfig) *view {
	t.Helper()
	v := status.NewView(s, cfg, zaptest.NewLogger(t, zaptest.Level(zap.ErrorLevel)))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := v.Run(ctx); err != nil {
			t.Errorf("Run returned %v", err)
		}
	}()
	stop := func() { cancel(); <-done }
	t.Cleanup(stop)
	return &view{v, t, stop}
}

// until waits for a change after which ok.
func (v *view) until(what string, ok func() bool) {
	v.t.Helper()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-v.Changed():
		case <-deadline:
			v.t.Fatalf("waited in vain: %s; %+v, %s", what, v.State(), v.sets())
		}
	}
}

// sets are the IDs that are used of each service.
func (v *view) sets() string {
	var words []string
	for _, s := range v.Services() {
		words = append(words, fmt.Sprintf("%s/%s=%s", s.App, s.Entrypoint, ids(s)))
	}
	return strings.Join(words, " ")
}

func ids(s *status.Service) string {
	var words []string
	for _, srv := range s.Servers {
		switch srv.Use {
		case status.UseReady:
			words = append(words, srv.Key.ID)
		case status.UseDrain:
			words = append(words, srv.Key.ID+"(drain)")
		}
	}
	return strings.Join(words, ",")
}

func viewsAll(t *testing.T, e *env) {
	e.putStatus(1, status.StateHealthy)
	e.putStatus(2, status.StateHealthy)
	e.put("/status:node/node1", nodeValue)
	v := runView(t, e.store(unhurried), status.ViewConfig{})
	v.until("two servers", func() bool { return v.sets() == "shop/web=c0001,c0002" })
	e.putStatus(1, status.StateDraining)
	v.until("one drains", func() bool { return v.sets() == "shop/web=c0001(drain),c0002" })
	e.delete("/status:node/node1")
	v.until("the node is silent", func() bool {
		return !slices.ContainsFunc(v.Service("shop", "web").Servers, func(s status.Server) bool { return !s.Silent })
	})
	e.delete(path(container(1)))
	e.delete(path(container(2)))
	v.until("none", func() bool { return v.sets() == "" && v.Service("shop", "web") == nil })
}
