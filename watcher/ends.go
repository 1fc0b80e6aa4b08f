package watcher

import (
	"context"
	"syscall"
	"time"

	"go.uber.org/zap"
)

// signalled tells that the life that runs is about to stop, and keeps what was
// sent to one of which Docker has still to tell.
func (k *keeper) signalled(ctx context.Context, r *record, w word) {
	if w.started || w.died {
		r.sent = nil // to an earlier life
	}
	if r.phase == phaseRunning && !w.started && !w.died {
		k.stopping(ctx, r, w.signals, w.at)
	}
	if r.phase != phaseRunning || r.asking || w.refresh {
		r.sent = r.sent.merged(w.signals)
	}
}

// resignal tells what was sent before Docker had told of the life.
func (k *keeper) resignal(ctx context.Context, r *record) {
	if r.phase == phaseRunning && !r.warned.Equal(r.c.Started) {
		k.stopping(ctx, r, r.sent, time.Now())
	}
	r.sent = nil
}

func (k *keeper) stopping(ctx context.Context, r *record, sent signals, at time.Time) {
	for _, sig := range []syscall.Signal{r.c.StopSignal, syscall.SIGTERM, syscall.SIGKILL} {
		if sent.reach(sig, r.c) {
			r.warned = r.c.Started
			k.tell(ctx, Event{Kind: Stopping, ID: r.c.ID, Container: r.c, Signal: sig, At: at})
			return
		}
	}
}

// died acts on Docker's die, and says whether Docker must be asked what it means. The
// kernel decides where it is asked; elsewhere a die counts that is not older
// than the life.
func (k *keeper) died(ctx context.Context, w word, r *record) question {
	r.died, r.heard = w.diedAt, w.at
	if r.asking {
		r.again, r.relist = true, false
	}
	older := w.diedAt.Before(r.c.Started)
	exit := Exit{Known: w.exit.Known, Code: w.exit.Code, OOM: r.oom || w.exit.OOM}
	switch {
	case r.phase == phaseExited && r.exit.Known:
		return none
	case r.phase == phaseRunning && k.deaths.fate(w.id, r.c.Pid) == fateAlive:
		return none // it is of an earlier life
	case r.phase == phaseRunning && (!older || k.deaths.fate(w.id, r.c.Pid) == fateEnded), r.phase == phaseExited && !older:
		k.exited(ctx, w.id, r, exit, w.at)
		if w.killed || !r.unexplained(exit) {
			return none
		}
		return minor
	}
	return urgent
}

// unexplained says whether SIGKILL ended the life and nobody is known to have sent it: that may have been the kernel for
// want of memory, and its event lost or late. Docker knows.
func (r *record) unexplained(exit Exit) bool {
	return exit.Known && exit.Code == codeKilled && !exit.OOM && !r.warned.Equal(r.c.Started)
}

// codeKilled is the exit code of a process that SIGKILL ended.
const codeKilled = 128 + int(syscall.SIGKILL)

// exited tells of an end, if that is news, and says so. Docker says oom also when a child was killed, days
// before the container's own process ends; the kernel's OOM killer ends that
// with SIGKILL.
func (k *keeper) exited(ctx context.Context, id string, r *record, exit Exit, at time.Time) bool {
	exit.OOM = exit.OOM && (!exit.Known || exit.Code == codeKilled)
	news := r.phase == phaseRunning || (r.phase == phaseExited && exit.Known && exit != r.exit)
	if !news {
		return false
	}
	r.phase, r.exit = phaseExited, exit
	if exit.Known {
		k.deaths.forget(id)
	}
	k.tell(ctx, Event{Kind: Exited, ID: id, Container: r.c, Exit: exit, At: at})
	return true
}

// missing acts on an answer or a listing that lacks a container. While the kernel
// says that its process lives that is not an end but a Docker that has lost its
// data or shows other data: what is known stands, until the process ends. Docker's
// destroy is believed, and does not come here.
func (k *keeper) missing(ctx context.Context, id string, r *record) bool {
	if r.phase != phaseRunning || k.deaths.fate(id, r.c.Pid) != fateAlive {
		return k.removed(ctx, id, r)
	}
	if !r.missed {
		r.missed = true
		k.log.Warn("Docker knows a container no more whose process lives; what is known of it stands until that ends",
			zap.String("container", id), zap.String("name", r.c.Name))
	}
	return false
}

// removed forgets a container, and tells it if it had been told of, be it that a
// listing has it: an earlier agent may have published it.
func (k *keeper) removed(ctx context.Context, id string, r *record) bool {
	if r.phase == phaseRunning {
		k.exited(ctx, id, r, Exit{OOM: r.oom}, time.Now())
	}
	k.deaths.forget(id)
	delete(k.known, id)
	delete(k.awaited, id)
	if r.phase != phaseUnknown || r.listed {
		k.tell(ctx, Event{Kind: Removed, ID: id})
	}
	k.maybeSynced(ctx)
	return r.phase != phaseUnknown
}
