package cmd

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/projecteru2/eru-agent/agent"
	"github.com/projecteru2/eru-agent/cmd/cli"
	"github.com/projecteru2/eru-agent/healthcheck"
	"github.com/projecteru2/eru-agent/selfmon"
	"github.com/projecteru2/eru-agent/selfmon/canary"
	"github.com/projecteru2/eru-agent/selfmon/monitor"
	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/trail"
	"github.com/projecteru2/eru-agent/watcher"
)

func newRun(probers []healthcheck.Prober) *cobra.Command {
	l := newLoader()
	c := &cobra.Command{
		Use: "run", Short: "Run the agent",
		Long: `Run the agent until SIGTERM or SIGINT. Statuses in etcd stay as they are when it
ends, and are taken over when it starts again. SIGHUP reads the configuration
again: see "eru-agent reload".

Every flag but --config is also a key of the file and a variable of the
environment: --etcd.endpoints, etcd: {endpoints: ...} and ERU_AGENT_ETCD_ENDPOINTS
are one. A flag goes over the environment, the environment over the file.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := l.load(os.Environ())
			if err != nil {
				return err
			}
			return l.Placed(runAgent(c.Context(), l, cfg, probers))
		},
	}
	l.AddTo(c.Flags(), "")
	return c
}

// daemon is a running agent's parts.
type daemon struct {
	cfg     *config
	file    string                             // that it was read from
	health  atomic.Pointer[healthcheck.Config] // in force
	probers []healthcheck.Prober
	level   zap.AtomicLevel
	log     *zap.Logger
	lost    prometheus.Counter // log lines

	announced atomic.Bool // systemd knows that the agent is ready

	listener net.Listener
	store    *status.Store
	watcher  *watcher.Watcher
	runner   *healthcheck.Runner
	writer   *status.Writer
	agent    *agent.Agent
	selfmon  *selfmon.Selfmon
	monitor  *monitor.Monitor
	target   *canary.Listener // nil without a canary
	canary   *canary.Canary   // nil for none
}

func runAgent(ctx context.Context, l *loader, cfg *config, probers []healthcheck.Prober) error {
	cli.Frugal()
	// SIGHUP must never end the agent, not even while it starts or stops.
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	// Nor may a reader of the log that goes away: a write to it then fails.
	signal.Ignore(syscall.SIGPIPE)
	d := &daemon{cfg: cfg, file: l.Path(), probers: probers, level: zap.NewAtomicLevel(), lost: cli.NewLinesLost("eru_agent_")}
	_ = d.level.UnmarshalText([]byte(cfg.log.Level)) // checked when it was loaded
	log, out := cli.NewLogger(cfg.log.Format, d.level, os.Stderr, d.lost)
	d.log = log
	go out.Run()
	defer out.Close()
	if err := d.make(); err != nil {
		return err
	}
	defer func() { _ = d.store.Close() }()
	return d.run(ctx, l, hangup)
}

// make makes all parts and binds the port; nothing runs yet.
func (d *daemon) make() error {
	cfg := d.cfg
	if err := cfg.checkFiles(); err != nil {
		return err
	}
	var err error
	if d.store, err = cfg.etcd.Store(d.log); err != nil {
		return err
	}
	if d.listener, err = net.Listen("tcp", cfg.api.addr); err != nil {
		return fmt.Errorf("listening on api.addr %q: %w; is another agent running here?", cfg.api.addr, err)
	}
	reg := prometheus.NewRegistry()
	d.assemble(reg)
	return d.makeCanary(reg)
}

// assemble wires the parts: events and verdicts flow into the agent, what etcd
// shall hold flows out of it.
func (d *daemon) assemble(reg *prometheus.Registry) {
	cfg, log := d.cfg, d.log
	d.health.Store(&cfg.health)
	me, probed := cfg.identity(), healthcheck.NewMetrics(reg)
	d.watcher = watcher.New(cfg.watcher(), log.Named("watcher"), watcher.NewMetrics(reg))
	d.runner = healthcheck.NewRunner(cfg.health, healthcheck.LoopbackControl, probed)
	d.writer = status.NewWriter(d.store, me, log.Named("etcd"), writerMetrics(reg), cfg.projected()...)
	memory := trail.New()
	d.writer.Tell(func(t status.Taken) {
		if t.Canary {
			d.canary.Published(t.Step, t.At)
			return
		}
		memory.Published(t.Key.ID, t.Step, trail.Publication{At: t.At, Revision: t.Revision, Deleted: t.Deleted})
	})
	d.agent = agent.New(
		agent.Config{Node: cfg.node, NodeIP: cfg.address(), Extension: cfg.extension},
		d.watcher.Events(), d.runner, d.writer, healthcheck.NewParser(cfg.health, d.probers...),
		memory, log.Named("agent"), agent.NewMetrics(reg))
	d.selfmon = selfmon.New(selfmon.Config{
		Node: status.Node{Nodename: cfg.node, Podname: cfg.pod, Agent: status.NodeAgent{
			Instance: me.Instance, Version: me.Version, Started: me.Started, Machine: me.Machine,
		}},
		TTL: cfg.etcd.SessionTTL, HoldSession: cfg.self.enabled, File: d.file,
		HTTP: selfmon.HTTP{Addr: cfg.api.addr, WebConfig: cfg.api.webConfig, Pprof: cfg.api.pprof},
	}, d.agent, d.watcher.Flowing, d.store, d.writer, memory, log.Named("selfmon"), reg)
	d.monitor = monitor.New(cfg.monitor(me), d.store, d.selfmon, monitor.NewWire(),
		func() monitor.Checks {
			return healthcheck.NewRunner(*d.health.Load(), healthcheck.LoopbackControl, probed)
		},
		healthcheck.NewParser(cfg.health, d.probers...), log.Named("monitor"), monitor.NewMetrics(reg))
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), cli.ReadBuild().Info("eru_agent_build_info"), d.lost)
}

// makeCanary makes the canary, if there is to be one.
func (d *daemon) makeCanary(reg *prometheus.Registry) error {
	if d.cfg.canary == 0 {
		return nil
	}
	var err error
	if d.target, err = canary.Listen(); err != nil {
		return err
	}
	d.canary = canary.New(d.cfg.node, d.cfg.canary, d.target, d.runner, d.writer, d.store, d.selfmon, d.log.Named("canary"), reg)
	d.agent.Divert(canary.ID, d.canary.Judge)
	return d.canary.Care(healthcheck.NewParser(d.cfg.health))
}

func (c *config) identity() status.Identity {
	id := status.Identity{Node: c.node, Instance: rand.Text(), Version: cli.Version(), Machine: cli.Machine(), Started: time.Now().UTC(), Session: c.self.enabled}
	if addr := c.address(); addr.IsValid() {
		id.Address = addr.String()
	}
	return id
}
