package balancer

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/projecteru2/eru-agent/cmd/cli"
	"github.com/projecteru2/eru-agent/lb"
	"github.com/projecteru2/eru-agent/port"
	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/systemd"
)

// outlet is a proxy's, with what has to run beside the loop.
type outlet struct {
	lb.Outlet

	parts []func(context.Context) error
}

// daemon is a running eru-lb's parts.
type daemon struct {
	cfg      *config
	log      *zap.Logger
	registry *prometheus.Registry
	listener net.Listener
	cut      prometheus.Counter // connections to the port
	store    *status.Store
	outlet   outlet
	loop     *lb.Loop
}

// follow brings a proxy to what etcd says until ctx ends.
func follow(ctx context.Context, cfg *config, p proxy) error {
	cli.Frugal()
	// Nothing is read again at SIGHUP: a restart costs no server its place. Nor
	// may a reader of the log that goes away end it.
	signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE)
	level := zap.NewAtomicLevel()
	_ = level.UnmarshalText([]byte(cfg.log.Level)) // checked when it was loaded
	lost := cli.NewLinesLost("eru_lb_")
	log, out := cli.NewLogger(cfg.log.Format, level, os.Stderr, lost)
	go out.Run()
	defer out.Close()
	d := &daemon{cfg: cfg, log: log, registry: prometheus.NewRegistry(), cut: port.NewCut("eru_lb_")}
	d.registry.MustRegister(lost, d.cut, cli.ReadBuild().Info("eru_lb_build_info"), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if err := d.make(p); err != nil {
		return err
	}
	defer func() { _ = d.store.Close() }()
	return d.run(ctx, p.kind)
}

// make makes all parts and binds the port; nothing runs yet.
func (d *daemon) make(p proxy) error {
	var err error
	if d.store, err = d.cfg.etcd.Store(d.log); err != nil {
		return err
	}
	if d.listener, err = net.Listen("tcp", d.cfg.metrics.addr); err != nil {
		return fmt.Errorf("listening on metrics.addr %q: %w; is another eru-lb running here?", d.cfg.metrics.addr, err)
	}
	if d.outlet, err = p.make(d); err != nil {
		return err
	}
	followed, err := d.views()
	if err != nil {
		return err
	}
	reader := status.Reader{Kind: p.kind, Version: cli.Version(), Machine: cli.Machine(), Started: time.Now().UTC(), Instance: rand.Text()}
	d.loop = lb.New(reader, followed, d.outlet.Outlet, d.log.Named("lb"), d.registry)
	return nil
}

// views makes one View for each service that is followed.
func (d *daemon) views() ([]lb.Followed, error) {
	routes, err := lb.ParseRoutes(d.cfg.services)
	if err != nil {
		return nil, err
	}
	if err := makeDir(d.cfg.stateDir); err != nil {
		d.log.Warn("no copies of what is known can be kept; without them eru-lb waits for etcd when it starts", zap.Error(err))
	}
	var followed []lb.Followed
	known := map[string]bool{}
	for _, r := range routes {
		name := r.App + "@" + r.Entrypoint // no part of a key has an @
		if known[name] {
			continue
		}
		known[name] = true
		file := ""
		if d.cfg.stateDir != "" {
			file = filepath.Join(d.cfg.stateDir, name+".json")
		}
		view := status.NewView(d.store, status.ViewConfig{
			Scope: status.Scope{App: r.App, Entrypoint: r.Entrypoint}, PanicShare: d.cfg.panicShare, Hold: d.cfg.hold, File: file,
		}, d.log.Named("etcd"))
		followed = append(followed, lb.Followed{App: r.App, Entrypoint: r.Entrypoint, View: view})
	}
	return followed, nil
}

func makeDir(path string) error {
	if path == "" {
		return nil
	}
	return os.MkdirAll(path, 0o755) //nolint:gosec // HAProxy's state file may be in it
}

// run starts every part and waits for the end of all.
func (d *daemon) run(ctx context.Context, kind string) error {
	name := d.cfg.reader(kind)
	d.log.Info("starting", zap.String("version", cli.Version()), zap.String("name", name), zap.String("proxy", kind), zap.Strings("services", d.cfg.services),
		zap.Strings("etcd", d.cfg.etcd.Endpoints), zap.Stringer("metrics", d.listener.Addr()))
	parts, ctx := errgroup.WithContext(ctx)
	for _, part := range d.outlet.parts {
		parts.Go(func() error { return part(ctx) })
	}
	parts.Go(func() error { return d.loop.Run(ctx) })
	parts.Go(func() error { return d.store.Acknowledge(ctx, name, d.cfg.etcd.SessionTTL, d.loop.Records()) })
	parts.Go(func() error { return d.serve(ctx) })
	parts.Go(func() error { return systemd.Watchdog(ctx, d.loop.Alive) })
	parts.Go(func() error { d.announce(ctx); return nil })
	err := parts.Wait()
	d.log.Info("stopped", zap.Error(err))
	return err
}

// announceEvery is how often systemd's status line is looked at.
const announceEvery = 100 * time.Millisecond

// announce tells systemd once the proxy has taken all, and what it waits for
// until then.
func (d *daemon) announce(ctx context.Context) {
	tick := time.NewTicker(announceEvery)
	defer tick.Stop()
	said := ""
	for {
		err := d.loop.Ready()
		if err == nil {
			d.log.Info("ready")
			d.tell(systemd.Ready("ready"))
			return
		}
		if text := err.Error(); text != said {
			said = text
			d.tell(systemd.Status("waiting: " + text))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (d *daemon) tell(err error) {
	if err != nil {
		d.log.Warn("systemd was not told", zap.Error(err))
	}
}
