package watcher

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/docker/docker/api/types/container"
	"go.uber.org/zap"
)

// listEvery is how often all containers are listed, beside each reconnect.
const listEvery = 30 * time.Second

// listed is one container in a listing: enough to see whether what is known of
// it still holds.
type listed struct {
	running, exited, paused bool
	name                    string
	labels                  map[string]string
	networks                map[string]netip.Addr // nil if the listing leaves them out
}

// listing is what Docker knows at one moment. A periodic one finds nothing new
// unless an event was lost.
type listing struct {
	asked    time.Time
	all      map[string]listed
	periodic bool
}

// list asks Docker for all containers whenever it is time, until ctx ends.
func (w *Watcher) list(ctx context.Context) {
	tick := time.NewTicker(w.listEvery)
	defer tick.Stop()
	for {
		periodic := false
		select {
		case <-ctx.Done():
			return
		case <-w.listNow:
		case <-tick.C:
			periodic = true
		}
		l, ok := w.listUntil(ctx)
		if !ok {
			return
		}
		l.periodic = periodic
		select {
		case w.listings <- l:
		case <-ctx.Done():
			return
		}
	}
}

func (w *Watcher) listUntil(ctx context.Context) (listing, bool) {
	wait := newBackOff()
	for failures := 0; ; failures++ {
		asked := time.Now()
		all, err := w.listOnce(ctx)
		if err == nil {
			if failures > 0 {
				w.askSubscription() // one that was asked for meanwhile may never be answered
			}
			return listing{asked: asked, all: all}, true
		}
		w.listOK.Store(false)
		if failures%60 == 5 {
			w.log.Warn("Docker does not list its containers; what is known goes on being probed", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return listing{}, false
		case <-time.After(wait.NextBackOff()):
		}
	}
}

func (w *Watcher) listOnce(ctx context.Context) (map[string]listed, error) {
	cli, err := w.docker.current()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	containers, err := cli.ContainerList(ctx, container.ListOptions{All: true})
	if err != nil {
		return nil, fmt.Errorf("listing the containers of Docker at %q: %w", w.docker.cfg.Endpoint, w.docker.explain(err))
	}
	all := make(map[string]listed, len(containers))
	for _, c := range containers {
		all[c.ID] = listedOf(c)
	}
	return all, nil
}

func listedOf(c container.Summary) listed {
	l := listed{
		running: c.State == container.StateRunning || c.State == container.StatePaused,
		paused:  c.State == container.StatePaused, labels: c.Labels,
	}
	l.exited = !l.running && c.State != container.StateCreated
	if len(c.Names) > 0 {
		l.name = trimName(c.Names)
	}
	if c.NetworkSettings != nil && c.NetworkSettings.Networks != nil { // null from Podman
		l.networks = addresses(c.NetworkSettings.Networks)
	}
	return l
}
