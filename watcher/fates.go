package watcher

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"
)

// How often and in what intervals Docker is asked again about a life of whose
// process the kernel knows nothing: in all, longer than Docker 20.10 calls a
// dead container running (FACTS).
const (
	doubtsMax  = 3
	doubtEvery = 250 * time.Millisecond
)

// life is one life of a container.
type life struct {
	started time.Time
	pid     int
}

// doubt says whether Docker must be asked again before it is believed that this
// life runs, whose process is unseen: it has just ended, or Docker's numbers are
// not this kernel's.
func (r *record) doubt(c Container) bool {
	if life := (life{c.Started, c.Pid}); !life.started.Equal(r.doubted.started) || life.pid != r.doubted.pid {
		r.doubted, r.doubts = life, 0
	}
	r.doubts++
	return r.doubts <= doubtsMax
}

// watchDeath asks the kernel for its word on pid, and says once if there is
// none.
func (k *keeper) watchDeath(id string, pid int) fate {
	if k.deaths == nil {
		return fateUnknown
	}
	err := k.deaths.watch(id, pid)
	switch {
	case err == nil:
		return fateAlive
	case errors.Is(err, errGone):
		return fateEnded
	case errors.Is(err, errUnseen):
		return fateUnseen
	}
	if !k.saidNoWord {
		k.saidNoWord = true
		k.log.Warn("no pidfd for a container; where there is none, its end is taken from Docker's events, some 80 ms later; an agent in a container needs the host's PID namespace", zap.String("container", id), zap.Error(err))
	}
	return fateUnknown
}

// rewatch tries again to have the kernel's word on a life that runs without: it
// may have been refused for want of descriptors.
func (k *keeper) rewatch(ctx context.Context, id string, r *record) {
	if k.deaths.fate(id, r.c.Pid) != fateUnknown || !k.deaths.hopeful() {
		return
	}
	if k.watchDeath(id, r.c.Pid) == fateEnded {
		k.exited(ctx, id, r, Exit{OOM: r.oom}, time.Now())
	}
}
