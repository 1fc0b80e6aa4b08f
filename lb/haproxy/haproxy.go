package haproxy

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/projecteru2/eru-agent/lb"
	"github.com/projecteru2/eru-agent/status"
)

// lookEvery is how often it is looked whether HAProxy is still the same process.
const lookEvery = 250 * time.Millisecond

// Config says how HAProxy is reached and what is whose in it.
type Config struct {
	Socket string // the path of its runtime socket, level admin
	// StateFile is what HAProxy loads when it starts (load-server-state-from-file);
	// "" for none.
	StateFile string
	Prefix    string // of the servers in its backends that are to be used: their server-template's
	Add       string // settings of a server that is added when the template is used up
	Routes    []lb.Route
}

// Outlet brings HAProxy to what services are.
type Outlet struct {
	cfg    Config
	socket socket
	log    *zap.Logger
	lost   chan struct{}

	reloads prometheus.Counter
	up      prometheus.Gauge
	orders  prometheus.Counter

	mu      sync.Mutex
	process process                    // the one that given is of
	given   map[string]*status.Service // backend -> what it was to be brought to last
	failing map[string]bool            // backends that were not brought to it
	known   map[string]string          // backend -> its rows in the state file
	header  string
	written string // what stands in the state file
}

// New returns an Outlet; its metrics are registered with reg.
func New(cfg Config, log *zap.Logger, reg prometheus.Registerer) *Outlet {
	o := &Outlet{
		cfg: cfg, socket: socket(cfg.Socket), log: log, lost: make(chan struct{}, 1),
		reloads: prometheus.NewCounter(prometheus.CounterOpts{Name: "eru_lb_haproxy_reloads_total", Help: "How often another HAProxy has answered than before: it was reloaded, or has been started again."}),
		up:      prometheus.NewGauge(prometheus.GaugeOpts{Name: "eru_lb_haproxy_up", Help: "1 while HAProxy answers at its socket."}),
		orders:  prometheus.NewCounter(prometheus.CounterOpts{Name: "eru_lb_haproxy_commands_total", Help: "Commands that change HAProxy."}),
		given:   map[string]*status.Service{}, failing: map[string]bool{}, known: map[string]string{},
	}
	reg.MustRegister(o.reloads, o.up, o.orders)
	return o
}

// Lost implements lb.Outlet.
func (o *Outlet) Lost() <-chan struct{} { return o.lost }

// Run looks for another HAProxy in the place of the one that was, until ctx ends;
// then it returns nil.
func (o *Outlet) Run(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		p, err := o.look(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			o.up.Set(0)
		default:
			o.up.Set(1)
			o.meet(p)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (o *Outlet) look(ctx context.Context) (process, error) {
	answer, err := o.socket.ask(ctx, "show info")
	if err != nil {
		return process{}, err
	}
	return parseInfo(answer)
}

// meet forgets what HAProxy was given if p is another one, and says whether it is
// the same.
func (o *Outlet) meet(p process) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	was := o.process
	o.process = p
	if !p.follows(was) {
		return true
	}
	clear(o.given)
	if was == (process{}) { // the first one that is met
		return true
	}
	o.reloads.Inc()
	o.log.Info("another HAProxy answers: it was reloaded or started again", zap.Int("pid", p.pid), zap.Int("former", was.pid))
	select {
	case o.lost <- struct{}{}:
	default:
	}
	return false
}
