package watcher

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// inspectsAtOnce bounds what is asked of Docker at a time.
const inspectsAtOnce = 8

// Watcher tells what happens to this node's containers.
type Watcher struct {
	docker  *docker
	ours    func(labels map[string]string) bool
	maybe   func(attributes map[string]string) bool // the same of an event, which hides some labels
	log     *zap.Logger
	metrics *Metrics

	queue    *queue
	deaths   *deaths // nil where the kernel has none
	events   chan Event
	asking   chan struct{}
	listNow  chan struct{}
	renew    chan struct{} // open the event stream anew
	listings chan listing

	listEvery time.Duration
	belongs   func(pid int, id string) error

	connected atomic.Bool // the event stream is open
	listOK    atomic.Bool // the last listing was answered
}

// New returns a Watcher; nothing is asked of Docker before Run.
func New(cfg Config, log *zap.Logger, metrics *Metrics) *Watcher {
	return &Watcher{
		docker: &docker{cfg: cfg}, ours: selector(cfg.Select), maybe: selector(visible(cfg.Select)), log: log, metrics: metrics,
		queue: newQueue(), events: make(chan Event), asking: make(chan struct{}, inspectsAtOnce),
		listNow: make(chan struct{}, 1), renew: make(chan struct{}, 1), listings: make(chan listing),
		listEvery: listEvery, belongs: belongs,
	}
}

// Events is where events come out, in order for each container. Its reader may
// be slow: the newest word per container is kept meanwhile.
func (w *Watcher) Events() <-chan Event { return w.events }

// Flowing says whether events are heard and listings answered.
func (w *Watcher) Flowing() bool { return w.connected.Load() && w.listOK.Load() }

// Run watches until ctx ends, then waits for its goroutines and returns nil.
// Trouble with Docker is retried for ever, and said. An error says that the
// process has no descriptor left to hear from the kernel with; it is better
// started again than deaf for its life.
func (w *Watcher) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer w.docker.swap(nil)
	defer all.Wait()
	defer cancel()
	d, err := newDeaths()
	if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) {
		return err
	}
	if err != nil {
		w.log.Warn("the kernel's word on a process's end is not to be had; taking it from Docker's events", zap.Error(err))
	} else {
		d.belongs = w.belongs
		w.deaths = d
		defer d.close()
		all.Go(func() {
			d.run(ctx, func(id string, pid int) { w.queue.add(id, func(wd *word) { wd.ended = pid }) })
		})
	}
	all.Go(func() { w.follow(ctx) })
	all.Go(func() { w.list(ctx) })
	newKeeper(w).run(ctx)
	return nil
}

// selector builds the rule of which containers are ours. Filters are those of
// docker ps --filter label=: "key" or "key=value", all of which must hold.
func selector(filters []string) func(map[string]string) bool {
	if filters == nil {
		return func(labels map[string]string) bool {
			if labels["ERU"] == "1" {
				return true
			}
			for label := range labels {
				if strings.HasPrefix(label, "eru.health.") {
					return true
				}
			}
			return false
		}
	}
	return func(labels map[string]string) bool {
		for _, f := range filters {
			key, want, hasValue := strings.Cut(f, "=")
			if got, ok := labels[key]; !ok || (hasValue && got != want) {
				return false
			}
		}
		return true
	}
}

// visible leaves out the filters of labels that an event's own attributes hide.
func visible(filters []string) []string {
	return slices.DeleteFunc(slices.Clone(filters), func(f string) bool {
		key, _, _ := strings.Cut(f, "=")
		return slices.Contains([]string{"image", "name", "oldName", "signal", "exitCode", "execDuration"}, key)
	})
}

// trimName prefers the container's own name to those of legacy links, which
// have a second slash.
func trimName(names []string) string {
	for _, n := range names {
		if n = strings.TrimPrefix(n, "/"); !strings.Contains(n, "/") {
			return n
		}
	}
	return strings.TrimPrefix(names[0], "/")
}
