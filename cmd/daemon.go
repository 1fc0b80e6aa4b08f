package cmd

import (
	"context"
	"os"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/projecteru2/eru-agent/cmd/cli"
	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/systemd"
)

// stopWithin bounds how long an agent that was asked to stop waits for etcd to
// take its last word.
const stopWithin = 2 * time.Second

// run starts every part and waits for the end of all. When asked ends, the
// agent says so in etcd while its parts still run, then they are ended; when a
// part fails, the others are ended at once.
func (d *daemon) run(asked context.Context, l *loader, hangup <-chan os.Signal) error {
	d.log.Info("starting", zap.String("version", cli.Version()), zap.String("node", d.cfg.node), zap.Stringer("api", d.listener.Addr()),
		zap.String("docker", d.cfg.docker.endpoint), zap.Strings("etcd", d.cfg.etcd.Endpoints), zap.String("machine", cli.Machine()))
	ctx, cancel := context.WithCancel(context.WithoutCancel(asked))
	defer cancel()
	parts, ctx := errgroup.WithContext(ctx)
	parts.Go(func() error { return d.watcher.Run(ctx) })
	parts.Go(func() error { return d.runner.Run(ctx) })
	parts.Go(func() error { return d.agent.Run(ctx) })
	parts.Go(func() error { return d.writer.Run(ctx, d.agent.Adopt) })
	parts.Go(func() error {
		return d.store.FollowDrains(ctx, d.cfg.node, func(drains status.Drains) { _ = d.agent.Drain(ctx, drains) }) // fails when ctx ends
	})
	parts.Go(func() error { return d.selfmon.KeepSession(ctx) })
	parts.Go(func() error { return d.monitor.Run(ctx) })
	parts.Go(func() error { return d.selfmon.Serve(ctx, d.listener) })
	if d.canary != nil {
		parts.Go(func() error { return d.target.Serve(ctx) })
		parts.Go(func() error { return d.canary.Run(ctx) })
	}
	parts.Go(func() error { return systemd.Watchdog(ctx, d.selfmon.Alive) })
	parts.Go(func() error { d.announce(ctx); return nil })
	parts.Go(func() error { d.reloads(ctx, l, hangup); return nil })
	parts.Go(func() error {
		select {
		case <-asked.Done():
			d.farewell(ctx)
			cancel()
		case <-ctx.Done():
		}
		return nil
	})
	err := parts.Wait()
	d.log.Info("stopped", zap.Error(err))
	return err
}

// announce tells systemd once the agent is ready.
func (d *daemon) announce(ctx context.Context) {
	d.tell(systemd.Status("waiting for Docker, etcd and the first verdicts"))
	if d.selfmon.WaitReady(ctx) != nil {
		return
	}
	d.log.Info("ready")
	d.tell(systemd.Ready("ready"))
	d.announced.Store(true)
}

// farewell says in the node's record that the agent stops on purpose. The
// statuses stay. An agent that never owned the node has nothing to say, and must
// not take it from its successor for that.
func (d *daemon) farewell(ctx context.Context) {
	d.tell(systemd.Stopping("asked to stop"))
	if !d.writer.Claimed() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, stopWithin)
	defer cancel()
	if err := d.selfmon.SayStopping(ctx); err != nil {
		d.log.Warn("etcd did not take the agent's last word; statuses there are the last known", zap.Error(err))
	}
}

func (d *daemon) tell(err error) {
	if err != nil {
		d.log.Warn("systemd was not told", zap.Error(err))
	}
}

// reloads reads the configuration again at each SIGHUP, until ctx ends.
func (d *daemon) reloads(ctx context.Context, l *loader, hangup <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			if !d.announced.Load() { // READY=1 ends a reload, and must not come early
				d.reload(ctx, l)
				continue
			}
			d.tell(systemd.Reloading())
			d.reload(ctx, l)
			d.tell(systemd.Ready("ready"))
		}
	}
}
