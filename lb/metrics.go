package lb

import (
	"maps"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/projecteru2/eru-agent/status"
)

// metrics are what is counted as it happens, and what is asked of the loop when
// they are read, so that a service that is gone leaves no series.
type metrics struct {
	loop *Loop

	applies  prometheus.Counter
	errors   *prometheus.CounterVec
	duration prometheus.Histogram
	lag      prometheus.Histogram

	servers, kept, panics, missing, synced, revision, seen, unreadable *prometheus.Desc
}

func newMetrics(l *Loop, reg prometheus.Registerer) *metrics {
	buckets := prometheus.ExponentialBuckets(0.0005, 2, 15) // 0.5 ms to 8 s
	service := []string{"app", "entrypoint"}
	m := &metrics{
		loop:    l,
		applies: prometheus.NewCounter(prometheus.CounterOpts{Name: "eru_lb_applies_total", Help: "How often the proxy was brought to what etcd says, or was to be."}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "eru_lb_apply_errors_total", Help: "What the proxy did not take, by why.",
		}, []string{"why"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "eru_lb_apply_duration_seconds", Help: "How long the proxy took.", Buckets: buckets}),
		lag: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "eru_lb_apply_lag_seconds", Help: "From the moment that etcd's news arrived until the proxy had taken it.", Buckets: buckets,
		}),
		servers:    prometheus.NewDesc("eru_lb_servers", "Servers by what the proxy does with them.", append(service, "use"), nil),
		kept:       prometheus.NewDesc("eru_lb_servers_kept", "Servers that are used although they are not healthy.", service, nil),
		panics:     prometheus.NewDesc("eru_lb_service_panic", "1 while so many containers of a service are unhealthy that its last set is kept: alert on it.", service, nil),
		missing:    prometheus.NewDesc("eru_lb_services_without_containers", "Services that are followed and have no container.", nil, nil),
		synced:     prometheus.NewDesc("eru_lb_etcd_synced", "1 if all that is followed is as etcd has it, 0 if etcd cannot be followed.", nil, nil),
		revision:   prometheus.NewDesc("eru_lb_applied_revision", "etcd's revision of the newest change that was applied.", nil, nil),
		seen:       prometheus.NewDesc("eru_lb_seen_revision", "The highest revision of etcd that was heard of.", nil, nil),
		unreadable: prometheus.NewDesc("eru_lb_unreadable_total", "Values, keys and addresses in etcd that could not be read, by why.", []string{"why"}, nil),
	}
	m.errors.WithLabelValues(whyOther)
	if c, ok := l.outlet.(Classifier); ok {
		for _, kind := range c.Kinds() {
			m.errors.WithLabelValues(kind)
		}
	}
	reg.MustRegister(m.applies, m.errors, m.duration, m.lag, m)
	return m
}

// applied counts one Apply; since is when the change came that it was for, zero
// for none.
func (m *metrics) applied(begun, since time.Time, err error) {
	m.applies.Inc()
	m.duration.Observe(time.Since(begun).Seconds())
	for _, one := range each(err) {
		m.errors.WithLabelValues(why(one)).Inc()
	}
	if err == nil && !since.IsZero() {
		m.lag.Observe(time.Since(since).Seconds())
	}
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.servers, m.kept, m.panics, m.missing, m.synced, m.revision, m.seen, m.unreadable} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	synced, seen, unreadable := m.views()
	gauge(m.synced, number(synced))
	gauge(m.seen, float64(seen))
	for why, n := range unreadable {
		ch <- prometheus.MustNewConstMetric(m.unreadable, prometheus.CounterValue, float64(n), why)
	}
	now := m.loop.current.Load()
	if now == nil {
		now = &report{}
	}
	missing := 0
	for _, s := range now.services {
		if len(s.Servers) == 0 {
			missing++
		}
		for use, n := range uses(s) {
			gauge(m.servers, float64(n), s.App, s.Entrypoint, use)
		}
		gauge(m.kept, float64(kept(s)), s.App, s.Entrypoint)
		gauge(m.panics, number(s.Panic), s.App, s.Entrypoint)
	}
	gauge(m.missing, float64(missing))
	gauge(m.revision, float64(m.loop.revision.Load()))
}

// views sums up how the Views fare.
func (m *metrics) views() (bool, int64, map[string]uint64) {
	synced, seen, unreadable := true, int64(0), map[string]uint64{}
	for _, why := range status.UnreadableKinds() {
		unreadable[why] = 0
	}
	for _, f := range m.loop.followed {
		state := f.View.State()
		synced = synced && state.Synced
		seen = max(seen, state.Revision)
		for why, n := range maps.All(state.Unreadable) {
			unreadable[why] += n
		}
	}
	return synced, seen, unreadable
}

func uses(s *status.Service) map[string]int {
	n := map[string]int{"none": 0, "drain": 0, "ready": 0}
	for _, server := range s.Servers {
		switch server.Use {
		case status.UseReady:
			n["ready"]++
		case status.UseDrain:
			n["drain"]++
		default:
			n["none"]++
		}
	}
	return n
}

func kept(s *status.Service) int {
	n := 0
	for _, server := range s.Servers {
		if server.Kept() {
			n++
		}
	}
	return n
}

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
